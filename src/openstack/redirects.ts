import { CloudError } from '../pool/errors.ts'
import { type Answer, header, NAMES, type Request } from './exchange.ts'

const STATUSES: readonly number[] = [301, 302, 307, 308]
const HOPS_MAX = 3

const SETTINGS = {
  keystone: { key: 'openstack.auth.auth_url', end: '/v3' },
  cinder: { key: 'openstack.block_storage_endpoint_override', end: '' }
} as const

/**
 * Where an answer sends a request that came to `url`; undefined: nowhere. The request carries tokens and passwords, so it
 * goes only to the same server, or from http to https of the same host. An operator must configure anything else. Not undici's own
 * interceptor: it turns a redirected login into a read, and follows to any host.
 */
export function redirectOf(request: Request, url: string, answer: Answer, hop: number): string | undefined {
  const location = header(answer, 'location')
  // A 303 asks for a read of something else, which answers only a read.
  const isRedirect = STATUSES.includes(answer.status) || (answer.status === 303 && request.method === 'GET')
  if (!isRedirect || location === undefined || !URL.canParse(location, url)) return undefined
  const [from, to] = [new URL(url), new URL(location, url)]
  const refused = (what: string, address: string): CloudError => {
    const where = `Set ${SETTINGS[request.service].key} to ${address} (${request.operation}, HTTP ${answer.status})`
    const message = `${NAMES[request.service]} at ${from.origin} ${what}. ${where}`
    return new CloudError('failed', message, { status: answer.status })
  }
  const isSecured = from.protocol === 'http:' && to.protocol === 'https:' && from.hostname === to.hostname
  if (from.origin !== to.origin && !isSecured) {
    const why = from.hostname === to.hostname ? 'less safe or another server' : 'another host'
    const what = `redirects to ${to.origin}${to.pathname}, which is ${why}: nothing was sent there`
    throw refused(what, addressAt(request, to))
  }
  if (hop < HOPS_MAX) return `${to.origin}${to.pathname}${to.search}`
  throw refused(`redirects more than ${HOPS_MAX} times`, `${NAMES[request.service]}'s own address`)
}

/** The address to set, where it can be told: the version and the rest of the path are as before. */
function addressAt({ service }: Request, to: URL): string {
  const [, path] = /^(.*)\/v[23](?:\.\d)?\//.exec(to.pathname) ?? []
  if (path === undefined) return `${NAMES[service]}'s own address`
  return `${to.origin}${path}${SETTINGS[service].end}, if that is ${NAMES[service]}'s`
}
