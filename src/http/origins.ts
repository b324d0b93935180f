import type { FastifyRequest } from 'fastify'
import { isLoopback } from '../config/config-rules.ts'
import type { Config } from '../config/schema.ts'
import { PoolError } from '../pool/errors.ts'

/**
 * Refuses what a page of another site makes a browser send: it may reach us where its author cannot, such as on a loopback
 * address. Programs send none of these headers but `Host`. `X-Forwarded-Host` is not read, whoever sends it: many proxies hand
 * on what a client wrote there. Names beyond our own are in `server.allowed_hosts`.
 */
export function refuseOtherSites({ access, server }: Config): (request: FastifyRequest) => void {
  const allowed = new Set(server.allowed_hosts.map(plain))
  // In this mode the configured address is a loopback one too: the configuration is refused otherwise.
  const isHere = (hostname: string): boolean => isLoopback(hostname) || allowed.has(hostname)
  const isOwn = (authority: string, host = ''): boolean =>
    authority.toLowerCase() === host.toLowerCase() || allowed.has(hostnameOf(authority))
  return ({ method, headers }) => {
    const { host, origin } = headers
    // Without tokens the name is all that gives a page away whose own name was made to lead to us (DNS rebinding).
    if (access.mode === 'none' && host !== undefined && !isHere(hostnameOf(host))) throw foreignHost(host)
    if (origin !== undefined && !isOwn(ORIGIN.exec(origin)?.[1] ?? '', host)) throw foreignOrigin(origin)
    if (headers['sec-fetch-site'] === 'cross-site' && !(method === 'GET' && opensPage(headers))) throw crossSite()
  }
}

/** The group is what browsers send as `Host` to the same place. */
const ORIGIN = /^https?:\/\/([^/?#@]+)$/i

/** A link to a page of ours, followed by whoever sits there. What is in a frame is not. */
const opensPage = (headers: FastifyRequest['headers']): boolean =>
  headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'

const hostnameOf = (authority: string): string => plain(authority.replace(/:\d*$/, ''))

/** As names are compared: without case, the brackets of IPv6, and the dot that may end a name. */
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')

const SHOWN_MAX = 255
const quoted = (value: string): string => `"${value.slice(0, SHOWN_MAX)}"`

const foreignHost = (host: string): PoolError =>
  new PoolError(
    'forbidden',
    `Host ${quoted(host)} is no loopback address, and with access.mode "none" no other is served. Nothing was done. ` +
      'Where the service is meant to be reached by that name, add it to server.allowed_hosts.'
  )

const foreignOrigin = (origin: string): PoolError =>
  new PoolError(
    'forbidden',
    `Origin ${quoted(origin)} is not where this service is: a page of another site sent the request. Nothing was done. ` +
      'Where that is the name of a proxy before this service, add its host name to server.allowed_hosts.'
  )

const crossSite = (): PoolError =>
  new PoolError(
    'forbidden',
    'Sec-Fetch-Site "cross-site" says that a page of another site sent the request. Nothing was done. Use the page of this ' +
      'service, under its own name or one of server.allowed_hosts, or a program; links to the page work.'
  )
