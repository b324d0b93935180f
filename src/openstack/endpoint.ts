import { CloudError } from '../pool/errors.ts'
import { MINOR_WANTED } from '../pool/release.ts'
import { chosenUrl } from './catalog.ts'
import type { Request } from './exchange.ts'
import { isCloudError } from './failures.ts'
import { type Fields, ShapeError } from './fields.ts'
import type { Http, LimitedCall } from './http.ts'
import type { Keystone, Token } from './keystone.ts'
import type { CloudSettings } from './settings.ts'
import { orAborted, Shared } from './waiting.ts'

/** The last microversion at which Cinder filters lists by what it was built with, and not by a file of the operator's. */
export const BUILT_IN_FILTERS_MINOR = 30

/** What Cinder speaks at one address. */
interface Spoken {
  readonly version: 'v3' | 'v2'
  /** N of the microversion 3.N that is asked for; at /v2, which knows none, 0. */
  readonly minor: number
  /** The highest that it offers, which tells its release; at /v2, which does not tell, 0. */
  readonly highestMinor: number
  /** N of the microversion at which lists are filtered, which may have to be a lower one. */
  readonly filterMinor: number
}

/** Cinder's address, without a project, and how it is spoken to. */
export interface Endpoint extends Spoken {
  /** Without its version, and without a slash at its end. */
  readonly root: string
}

/** Something that an operator should know, though it was got around. */
export type Notice = (fields: object, message: string) => void

/** Where Cinder is, from the catalogue, and which version it speaks, asked once. */
export class Endpoints {
  readonly #settings: CloudSettings
  readonly #keystone: Keystone
  readonly #http: Http
  readonly #onNotice: Notice
  readonly #spoken = new Map<string, Spoken>()
  /** Of each token's catalogue, which is long. */
  readonly #roots = new WeakMap<Token, string>()
  readonly #discoveries = new Shared<Spoken>()

  constructor(settings: CloudSettings, keystone: Keystone, http: Http, onNotice: Notice) {
    this.#settings = settings
    this.#keystone = keystone
    this.#http = http
    this.#onNotice = onNotice
  }

  async endpoint(call: LimitedCall): Promise<Endpoint> {
    const token = await this.#keystone.token('own', call)
    const root = this.#rootIn(token)
    return { root, ...(this.#spoken.get(root) ?? (await this.#discover(root, call))) }
  }

  #rootIn(token: Token): string {
    let root = this.#roots.get(token)
    if (root === undefined) {
      root = rootOf(this.#settings.blockStorageUrl ?? chosenUrl(token.catalog, this.#settings), token.projectId)
      this.#roots.set(token, root)
    }
    return root
  }

  /** For when Cinder no longer speaks as it was spoken to; others may have found that out before. */
  forget({ root, minor }: Endpoint): void {
    if (this.#spoken.get(root)?.minor === minor) this.#spoken.delete(root)
  }

  /** For when Cinder refuses filters that every release has: a file of filters that the operator has not, or has cut. */
  keepToBuiltInFilters(root: string): void {
    const spoken = this.#spoken.get(root)
    if (!spoken || spoken.filterMinor <= BUILT_IN_FILTERS_MINOR) return
    this.#spoken.set(root, { ...spoken, filterMinor: BUILT_IN_FILTERS_MINOR })
    const fields = { endpoint: root, microversion: `3.${BUILT_IN_FILTERS_MINOR}` }
    this.#onNotice(fields, 'cinder refused to filter a list: its resource_filters.json lacks filters, asked without it')
  }

  #discover(root: string, call: LimitedCall): Promise<Spoken> {
    const discovery = this.#discoveries.join(root, () =>
      this.#http.within({ requestId: call.requestId }, async limited => {
        const ask = (token: Token) => this.#versionAt(root, token, limited)
        const { version, highestMinor } = await this.#keystone.withToken('own', limited, ask)
        const minor = minorOf(highestMinor, this.#settings.pinnedMinor, `Cinder at ${root}/${version}`)
        const spoken = { version, minor, highestMinor, filterMinor: minor }
        this.#spoken.set(root, spoken)
        return spoken
      })
    )
    return orAborted(discovery, call.signal)
  }

  /** Asked of each version itself: the list at the root shows some that are not served, and hides some that are. */
  async #versionAt(root: string, token: Token, call: LimitedCall): Promise<Pick<Spoken, 'version' | 'highestMinor'>> {
    try {
      const v3 = versionRequest(root, 'v3', token)
      return { version: 'v3', highestMinor: await this.#http.ask(v3, call, readHighestMinor) }
    } catch (error) {
      if (!isCloudError(error, 'not_found')) throw error
    }
    try {
      await this.#http.ask(versionRequest(root, 'v2', token), call, body => body.list('versions'))
      return { version: 'v2', highestMinor: 0 }
    } catch (error) {
      throw isCloudError(error, 'not_found') ? noVersionAt(root, error) : error
    }
  }
}

/** At /v2 the header means nothing, except that some releases heed it where they find `v3` anywhere in the address. */
export const versionHeader = (version: Spoken['version'], minor: number): Record<string, string> =>
  version === 'v3' ? { 'openstack-api-version': `volume 3.${minor}` } : {}

/** Never without the header: else Cinder up to Wallaby looks for a version anywhere in the address, its host included. */
const versionRequest = (root: string, version: Spoken['version'], token: Token): Request => ({
  service: 'cinder',
  operation: 'version_list',
  method: 'GET',
  url: `${root}/${version}/`,
  headers: { 'x-auth-token': token.value, ...versionHeader(version, 0) },
  idempotent: true,
  mayBeMissing: true
})

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
