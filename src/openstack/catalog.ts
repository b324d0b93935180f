import { CloudError } from '../pool/errors.ts'
import type { Fields } from './fields.ts'
import type { CloudSettings } from './settings.ts'

/** One address of one service, as Keystone's catalogue lists it. */
export interface CatalogEndpoint {
  readonly serviceType: string
  readonly interface: string
  readonly region: string
  readonly url: string
}

/** Names of the block storage service, the best first. Below the address of any of them is every version that there is. */
const SERVICE_TYPES = ['block-storage', 'volumev3', 'block-store', 'volumev2', 'volume']

/** What can be used of it. A catalogue lists all services of a cloud, and what is odd about others is no concern of ours. */
export const toCatalog = (token: Fields): CatalogEndpoint[] => token.objects('catalog').flatMap(toEndpoints)

function toEndpoints(service: Fields): CatalogEndpoint[] {
  const serviceType = service.textIfAny('type')
  return service.objects('endpoints').flatMap(endpoint => {
    const name = endpoint.textIfAny('interface')
    const url = endpoint.textIfAny('url')
    if (!serviceType || !name || !url) return []
    const region = endpoint.textIfAny('region') ?? endpoint.textIfAny('region_id') ?? ''
    return [{ serviceType, interface: name.replace(/URL$/, ''), region, url }]
  })
}

/** Cinder's address: of the best name under which there is one for us. */
export function chosenUrl(catalog: readonly CatalogEndpoint[], settings: CloudSettings): string {
  const types = SERVICE_TYPES.filter(type => catalog.some(endpoint => endpoint.serviceType === type))
  const [best] = types
  if (best === undefined) {
    const found = listed(catalog.map(endpoint => endpoint.serviceType))
    throw noEndpoint(`no block storage service (${SERVICE_TYPES.join(', ')})`, `it has ${found}`)
  }
  const fitting = types.map(type => fittingOf(catalog, type, settings)).find(found => found.length > 0)
  const [first] = fitting ?? []
  if (!first) throw noneFits(catalog, best, settings)
  if (new Set(fitting?.map(({ region }) => region)).size > 1) {
    const { serviceType: type } = first
    const advice = `it has ${offeredOf(catalog, type)}; set openstack.region_name to one of these`
    throw noEndpoint(`more than one region for ${type}`, advice)
  }
  return first.url
}

const fittingOf = (
  catalog: readonly CatalogEndpoint[],
  type: string,
  { interface: name, regionName }: CloudSettings
): CatalogEndpoint[] =>
  catalog.filter(
    endpoint =>
      endpoint.serviceType === type &&
      endpoint.interface === name &&
      (regionName === undefined || endpoint.region === regionName)
  )

function noneFits(catalog: readonly CatalogEndpoint[], type: string, settings: CloudSettings): CloudError {
  const wanted = settings.regionName === undefined ? '' : ` in region ${settings.regionName}`
  const advice = `it has ${offeredOf(catalog, type)}; set openstack.interface or openstack.region_name to one of these`
  return noEndpoint(`no ${settings.interface} endpoint of ${type}${wanted}`, advice)
}

function offeredOf(catalog: readonly CatalogEndpoint[], type: string): string {
  const ofType = catalog.filter(endpoint => endpoint.serviceType === type)
  return listed(ofType.map(({ interface: name, region }) => `${name} in region ${region || '(none)'}`))
}

const listed = (names: readonly string[]): string => [...new Set(names)].join(', ') || 'nothing'

const noEndpoint = (what: string, advice: string): CloudError =>
  new CloudError('failed', `Keystone's catalogue has ${what}: ${advice}.`)
