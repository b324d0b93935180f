import { CloudError } from '../pool/errors.ts'
import { MINOR_WANTED } from '../pool/release.ts'
import { chosenUrl } from './catalog.ts'
import { isCloudError, undefinedAfter } from './failures.ts'
import { type Fields, ShapeError } from './fields.ts'
import type { LimitedCall } from './http.ts'
import type { Keystone, Token } from './keystone.ts'
import { orAborted, Shared } from './waiting.ts'

/** The last microversion at which Cinder filters lists by what it was built with, and not by a file of the operator's. */
export const BUILT_IN_FILTERS_MINOR = 30

/** Cinder's address, without a project, and how to speak to it. */
export interface Endpoint {
  /** Without its version, and without a slash at its end. */
  readonly root: string
  readonly version: 'v3' | 'v2'
  /** N of the microversion 3.N that is asked for. 0 at /v2, which knows none. */
  readonly minor: number
  /** The highest that it offers, which tells its release. 0 at /v2, which does not tell. */
  readonly highestMinor: number
  /** N of the microversion at which lists are filtered, which may have to be a lower one. */
  readonly filterMinor: number
}

/** Something that an operator should know, though the service works around it. */
export type Notice = (fields: object, message: string) => void

/** Where Cinder is, from the catalogue, and which version it speaks, asked once. */
export type Endpoints = ReturnType<typeof endpointsOf>

export function endpointsOf(keystone: Keystone, onNotice: Notice) {
  const known = new Map<string, Endpoint>()
  /** Read once of each token's catalogue, which is long. */
  const roots = new WeakMap<Token, string>()
  const discoveries = new Shared<Endpoint>()

  const rootIn = (token: Token): string => {
    const { blockStorageUrl = chosenUrl(token.catalog, keystone.settings) } = keystone.settings
    const root = rootOf(blockStorageUrl, token.projectId)
    roots.set(token, root)
    return root
  }

  const discover = (root: string, { requestId, signal }: LimitedCall): Promise<Endpoint> => {
    const ask = async (call: LimitedCall): Promise<Endpoint> => {
      const endpoint = await keystone.withToken('own', call, token => askVersions(keystone, root, token, call))
      known.set(root, endpoint)
      return endpoint
    }
    const discovery = discoveries.join(root, () => keystone.http.within({ requestId }, ask))
    return orAborted(discovery, signal)
  }

  return {
    async endpoint(call: LimitedCall): Promise<Endpoint> {
      const token = await keystone.token('own', call)
      const root = roots.get(token) ?? rootIn(token)
      return known.get(root) ?? (await discover(root, call))
    },

    /** Call when Cinder no longer speaks this microversion. Others may have found that out before. */
    forget({ root, minor }: Endpoint): void {
      if (known.get(root)?.minor === minor) known.delete(root)
    },

    /** Call when Cinder refuses filters that every release has: the operator lacks the file of filters, or has cut it. */
    keepToBuiltInFilters(root: string): void {
      const endpoint = known.get(root)
      if (!endpoint || endpoint.filterMinor <= BUILT_IN_FILTERS_MINOR) return
      known.set(root, { ...endpoint, filterMinor: BUILT_IN_FILTERS_MINOR })
      const fields = { endpoint: root, microversion: `3.${BUILT_IN_FILTERS_MINOR}` }
      onNotice(fields, 'cinder refused to filter a list: its resource_filters.json lacks filters, asked without it')
    }
  }
}

/** Asks each version itself: the list at the root shows some that are not served, and hides some that are. */
async function askVersions(keystone: Keystone, root: string, token: Token, call: LimitedCall): Promise<Endpoint> {
  const ask = <T>(version: Endpoint['version'], read: (body: Fields) => T): Promise<T> => {
    // Never without the header: else Cinder up to Wallaby looks for a version anywhere in the address, its host included.
    const headers = { 'x-auth-token': token.value, ...versionHeader(version, 0) }
    const asked = { service: 'cinder', operation: 'version_list', method: 'GET', headers, idempotent: true } as const
    return keystone.http.ask({ ...asked, url: `${root}/${version}/`, mayBeMissing: true }, call, read)
  }
  const speaking = (version: Endpoint['version'], highestMinor: number): Endpoint => {
    const minor = minorOf(highestMinor, keystone.settings.pinnedMinor, `Cinder at ${root}/${version}`)
    return { root, version, minor, highestMinor, filterMinor: minor }
  }
  const highestMinor = await ask('v3', readHighestMinor).catch(undefinedAfter('not_found'))
  if (highestMinor !== undefined) return speaking('v3', highestMinor)
  try {
    await ask('v2', body => body.list('versions'))
    return speaking('v2', 0)
  } catch (error) {
    throw isCloudError(error, 'not_found') ? noVersionAt(root, error) : error
  }
}

/** At /v2 the header means nothing, except that some releases heed it where they find `v3` anywhere in the address. */
export const versionHeader = (version: Endpoint['version'], minor: number): Record<string, string> =>
  version === 'v3' ? { 'openstack-api-version': `volume 3.${minor}` } : {}

function readHighestMinor(body: Fields): number {
  const version = body.list('versions').find(version => version.text('id').startsWith('v3'))
  const minor = /^3\.(\d+)$/.exec(version?.optionalText('version') ?? '')?.[1]
  if (minor === undefined) throw new ShapeError('versions has no v3 with a microversion')
  return Number(minor)
}

function minorOf(highest: number, pinned: number | undefined, cinder: string): number {
  if (pinned === undefined) return Math.min(highest, MINOR_WANTED)
  if (pinned <= highest) return pinned
  const offered = highest === 0 ? '3.0 only' : `3.0 to 3.${highest}`
  const asked = `openstack.volume_api_version (or OS_VOLUME_API_VERSION) asks for 3.${pinned}`
  throw new CloudError('failed', `${asked}, but ${cinder} offers ${offered}: set it to one of these, or to auto.`)
}

function noVersionAt(root: string, cause: unknown): CloudError {
  const what = `Cinder is neither at ${root}/v3/ nor at ${root}/v2/`
  const advice =
    "set openstack.block_storage_endpoint_override to Cinder's address, or have it mended in Keystone's catalogue"
  return new CloudError('failed', `${what}, which both answer 404: ${advice}.`, { cause })
}

/**
 * The address without the version and the project that it may end in, of whichever version: all are below one root. Only at
 * its end, since what comes before may look like a version too.
 */
export function rootOf(url: string, projectId: string): string {
  if (!URL.canParse(url)) {
    const advice = 'have it mended in Keystone, or set openstack.block_storage_endpoint_override'
    throw new CloudError('failed', `Cinder's address in Keystone's catalogue is none, "${url}": ${advice}.`)
  }
  const { origin, pathname } = new URL(url)
  const segments = pathname.split('/').filter(segment => segment !== '')
  if (isProject(segments.at(-1) ?? '', projectId) && isVersion(segments.at(-2))) segments.pop()
  if (isVersion(segments.at(-1))) segments.pop()
  return [origin, ...segments].join('/')
}

const isVersion = (segment = ''): boolean => /^v[123](\.\d+)?$/.test(segment)

/** By its id, whoever's it is, or as a placeholder such as `%(tenant_id)s`. */
const isProject = (segment: string, projectId: string): boolean =>
  segment === projectId || /^(?:\S*[%$]\(\w+\)s|[0-9a-f]{32}|[0-9a-f-]{36}|\d+)$/i.test(segment)
