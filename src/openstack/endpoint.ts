import { CloudError } from '../pool/errors.ts'
import { MINOR_WANTED } from '../pool/release.ts'
import { isCloudError } from './failures.ts'
import { type Fields, ShapeError } from './fields.ts'
import type { Http, LimitedCall, Request } from './http.ts'
import type { CatalogEndpoint, Keystone, Token } from './keystone.ts'
import type { CloudSettings } from './settings.ts'
import { orAborted, Shared } from './waiting.ts'

/** Names of the block storage service in the catalogue, the best first. */
const SERVICE_TYPES = ['block-storage', 'volumev3', 'block-store', 'volume']
const NEEDED_MINOR = 55

/** Cinder's address, without a project, and the microversion to ask for. */
export interface Endpoint {
  /** Without /v3, and without a slash at its end. */
  readonly root: string
  readonly minor: number
  /** The highest that it offers, which tells its release. */
  readonly highestMinor: number
}

type Minors = Pick<Endpoint, 'minor' | 'highestMinor'>

/** Where Cinder is, from the catalogue, and which microversion it speaks, asked once. */
export class Endpoints {
  readonly #settings: CloudSettings
  readonly #keystone: Keystone
  readonly #http: Http
  readonly #minors = new Map<string, Minors>()
  /** Of each token's catalogue, which is long. */
  readonly #roots = new WeakMap<Token, string>()
  readonly #discoveries = new Shared<Minors>()

  constructor(settings: CloudSettings, keystone: Keystone, http: Http) {
    this.#settings = settings
    this.#keystone = keystone
    this.#http = http
  }

  async endpoint(call: LimitedCall): Promise<Endpoint> {
    const token = this.#keystone.held('own', call.requestId) ?? (await this.#keystone.token('own', call))
    const root = this.#rootIn(token)
    return { root, ...(this.#minors.get(root) ?? (await this.#discover(root, token, call))) }
  }

  #rootIn(token: Token): string {
    let root = this.#roots.get(token)
    if (root === undefined) {
      root = rootOf(this.#settings.blockStorageUrl ?? chosenUrl(token.catalog, this.#settings))
      this.#roots.set(token, root)
    }
    return root
  }

  /** For when Cinder no longer speaks the pinned one. */
  forget(root: string): void {
    this.#minors.delete(root)
  }

  #discover(root: string, token: Token, call: LimitedCall): Promise<Minors> {
    const discovery = this.#discoveries.join(root, () =>
      this.#http.within({ requestId: call.requestId }, async limited => {
        const highestMinor = await this.#highestMinor(root, token, limited)
        const minors = { minor: pinned(highestMinor, root), highestMinor }
        this.#minors.set(root, minors)
        return minors
      })
    )
    return orAborted(discovery, call.signal)
  }

  /** The list of versions needs no token; where a proxy hides it, /v3/ tells the same to those who have one. */
  async #highestMinor(root: string, token: Token, call: LimitedCall): Promise<number> {
    const request: Request = {
      service: 'cinder',
      operation: 'version_list',
      method: 'GET',
      url: `${root}/`,
      idempotent: true
    }
    try {
      return await this.#http.ask(request, call, readHighestMinor)
    } catch (error) {
      if (isCloudError(error, 'unavailable', 'timeout')) throw error
      const headers = { 'x-auth-token': token.value }
      return await this.#http.ask({ ...request, url: `${root}/v3/`, headers }, call, readHighestMinor)
    }
  }
}

function readHighestMinor(body: Fields): number {
  const version = body.list('versions').find(version => version.text('id').startsWith('v3'))
  const minor = /^3\.(\d+)$/.exec(version?.optionalText('version') ?? '')?.[1]
  if (minor === undefined) throw new ShapeError('versions has no v3 with a microversion')
  return Number(minor)
}

function pinned(highest: number, root: string): number {
  if (highest >= NEEDED_MINOR) return Math.min(highest, MINOR_WANTED)
  const has = `Cinder at ${root} offers microversions up to 3.${highest}`
  throw new CloudError('failed', `${has}, but 3.${NEEDED_MINOR} (Rocky) is needed: use a newer Cinder.`)
}

/** The address registered may end in a project's id, or in a placeholder for one. */
function rootOf(url: string): string {
  if (!URL.canParse(url)) {
    const advice = 'have it mended in Keystone, or set openstack.block_storage_endpoint_override'
    throw new CloudError('failed', `Cinder's address in Keystone's catalogue is none, "${url}": ${advice}.`)
  }
  return new URL(url).href.replace(/\/v3(\/.*)?$/, '').replace(/\/+$/, '')
}

function chosenUrl(catalog: readonly CatalogEndpoint[], settings: CloudSettings): string {
  const type = SERVICE_TYPES.find(type => catalog.some(endpoint => endpoint.serviceType === type))
  if (type === undefined) {
    const types = listed(catalog.map(endpoint => endpoint.serviceType))
    throw noEndpoint(`no block storage service (${SERVICE_TYPES.join(', ')})`, `it has ${types}`)
  }
  const ofService = catalog.filter(endpoint => endpoint.serviceType === type)
  const ofInterface = ofService.filter(endpoint => endpoint.interface.replace(/URL$/, '') === settings.interface)
  const { regionName } = settings
  const fitting = ofInterface.filter(endpoint => regionName === undefined || endpoint.region === regionName)
  const [first] = fitting
  const offered = listed(ofService.map(({ interface: name, region }) => `${name} in region ${region || '(none)'}`))
  if (!first) {
    const wanted = regionName === undefined ? '' : ` in region ${regionName}`
    const advice = `it has ${offered}; set openstack.interface or openstack.region_name to one of these`
    throw noEndpoint(`no ${settings.interface} endpoint of ${type}${wanted}`, advice)
  }
  if (new Set(fitting.map(({ region }) => region)).size > 1) {
    throw noEndpoint(`more than one region for ${type}`, `it has ${offered}; set openstack.region_name to one of these`)
  }
  return first.url
}

const listed = (names: readonly string[]): string => [...new Set(names)].join(', ') || 'nothing'

const noEndpoint = (what: string, advice: string): CloudError =>
  new CloudError('failed', `Keystone's catalogue has ${what}: ${advice}.`)
