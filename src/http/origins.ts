import type { FastifyRequest } from 'fastify'
import { isLoopback } from '../config/config-rules.ts'
import type { Config } from '../config/schema.ts'
import { PoolError } from '../pool/errors.ts'

/**
 * Refuses what a page of another site makes a browser send: a browser may reach us where the author of the page cannot, such as
 * on a loopback address. Programs send none of these headers but `Host`. `X-Forwarded-Host` is never read: many proxies hand on
 * what a client wrote there. `server.allowed_hosts` has our other names.
 */
export function refuseOtherSites({ access, server }: Config): (request: FastifyRequest) => void {
  const allowed = new Set(server.allowed_hosts.map(plain))
  // With access.mode none the configured address is a loopback one: config refuses others.
  const isHere = (hostname: string): boolean => isLoopback(hostname) || allowed.has(hostname)
  const isOwn = (authority: string, host = ''): boolean =>
    authority.toLowerCase() === host.toLowerCase() || allowed.has(hostnameOf(authority))
  return ({ method, headers }) => {
    const { host, origin } = headers
    // Without tokens, only the name gives away a page whose own name was made to lead to us (DNS rebinding).
    if (access.mode === 'none' && host !== undefined && !isHere(hostnameOf(host))) throw foreignHost(host)
    if (origin !== undefined && !isOwn(ORIGIN.exec(origin)?.[1] ?? '', host)) throw foreignOrigin(origin)
    if (headers['sec-fetch-site'] === 'cross-site' && !(method === 'GET' && opensPage(headers))) throw crossSite()
  }
}

/** The group is what a browser sends as `Host` to the same place. */
const ORIGIN = /^https?:\/\/([^/?#@]+)$/i

/** Somebody followed a link to our page. A frame is something else. */
const opensPage = (headers: FastifyRequest['headers']): boolean =>
  headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'

const hostnameOf = (authority: string): string => plain(authority.replace(/:\d*$/, ''))

/** Names are compared without case, IPv6 brackets and the dot that may end a name. */
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')

const SHOWN_MAX = 255
const quoted = (value: string): string => `"${value.slice(0, SHOWN_MAX)}"`
const forbidden = (why: string): PoolError => new PoolError('forbidden', why)

const foreignHost = (host: string): PoolError =>
  forbidden(
    `Host ${quoted(host)} is not a loopback address, and access.mode "none" serves no other. Nothing was done. ` +
      'To serve this name, add it to server.allowed_hosts.'
  )

const foreignOrigin = (origin: string): PoolError =>
  forbidden(
    `Origin ${quoted(origin)} is not this service: a page of another site sent the request. Nothing was done. ` +
      'If it is a proxy before this service, add its host name to server.allowed_hosts.'
  )

const crossSite = (): PoolError =>
  forbidden(
    'Sec-Fetch-Site "cross-site": a page of another site sent the request. Nothing was done. Use the page of this service, ' +
      'under its own name or one of server.allowed_hosts, or a program. Links to the page work.'
  )
