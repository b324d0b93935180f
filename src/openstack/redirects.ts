import { CloudError } from '../pool/errors.ts'
import type { Request } from './exchange.ts'
import { type Answer, header, NAMES } from './exchange.ts'

/** A 303 asks for a read of something else, which is no answer to anything but a read. */
const STATUSES: readonly number[] = [301, 302, 307, 308]
const HOPS_MAX = 3

const SETTINGS = {
  keystone: { key: 'openstack.auth.auth_url', end: '/v3' },
  cinder: { key: 'openstack.block_storage_endpoint_override', end: '' }
} as const

/**
 * Where an answer sends a request that came to `url`; undefined: nowhere. What is sent has tokens and passwords in it, so it
 * goes on only to the same server, or from http to https of the same host. Anything else is for whoever configures us.
 */
export function redirectOf(request: Request, url: string, answer: Answer, hop: number): string | undefined {
  const location = header(answer, 'location')
  const isRedirect = STATUSES.includes(answer.status) || (answer.status === 303 && request.method === 'GET')
  if (!isRedirect || location === undefined || !URL.canParse(location, url)) return undefined
  const [from, to] = [new URL(url), new URL(location, url)]
  const isSecured = from.protocol === 'http:' && to.protocol === 'https:' && from.hostname === to.hostname
  if (from.origin !== to.origin && !isSecured) throw notFollowed(request, from, to, answer.status)
  if (hop < HOPS_MAX) return `${to.origin}${to.pathname}${to.search}`
  throw refused(request, from, `redirects more than ${HOPS_MAX} times`, answer.status)
}

function notFollowed(request: Request, from: URL, to: URL, status: number): CloudError {
  const why = from.hostname === to.hostname ? 'less safe or another server' : 'another host'
  return refused(
    request,
    from,
    `redirects to ${to.origin}${to.pathname}, which is ${why}: nothing was sent there`,
    status,
    to
  )
}

/** Names the address to set where it can be told: the version and what was asked for stand at its end as before. */
function refused(request: Request, from: URL, what: string, status: number, to?: URL): CloudError {
  const { key, end } = SETTINGS[request.service]
  const name = NAMES[request.service]
  const [, path] = /^(.*)\/v[23](?:\.\d)?\//.exec(to?.pathname ?? '') ?? []
  const address = to && path !== undefined ? `${to.origin}${path}${end}, if that is ${name}'s` : `${name}'s own address`
  const message = `${name} at ${from.origin} ${what}. Set ${key} to ${address} (${request.operation}, HTTP ${status})`
  return new CloudError('failed', message, { status })
}
