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

/** Names of the block storage service, the best first. Every version is below the address of any of them. */
const SERVICE_TYPES = ['block-storage', 'volumev3', 'block-store', 'volumev2', 'volume']

/** What is usable of it. A catalogue lists all services of a cloud, and faults of the others do not matter here. */
export const toCatalog = (token: Fields): CatalogEndpoint[] =>
  token.objects('catalog').flatMap(service => {
    const serviceType = service.textIfAny('type')
    return service.objects('endpoints').flatMap(endpoint => {
      const name = endpoint.textIfAny('interface')
      const url = endpoint.textIfAny('url')
      if (!serviceType || !name || !url) return []
      const region = endpoint.textIfAny('region') ?? endpoint.textIfAny('region_id') ?? ''
      return [{ serviceType, interface: name.replace(/URL$/, ''), region, url }]
    })
  })

/** Cinder's address: of the best name under which there is one that fits the settings. */
export function chosenUrl(catalog: readonly CatalogEndpoint[], settings: CloudSettings): string {
  const { interface: name, regionName } = settings
  const ofType = (type: string) => catalog.filter(endpoint => endpoint.serviceType === type)
  const types = SERVICE_TYPES.filter(type => ofType(type).length > 0)
  const fits = (endpoint: CatalogEndpoint): boolean =>
    endpoint.interface === name && (regionName === undefined || endpoint.region === regionName)
  const fitting = types.map(type => ofType(type).filter(fits)).find(found => found.length > 0) ?? []
  const [first] = fitting
  const type = first?.serviceType ?? types[0]
  if (type === undefined) {
    const found = listed(catalog.map(endpoint => endpoint.serviceType))
    throw noEndpoint(`no block storage service (${SERVICE_TYPES.join(', ')})`, `it has ${found}`)
  }
  const offered = `it has ${listed(ofType(type).map(({ interface: i, region }) => `${i} in region ${region || '(none)'}`))}`
  if (!first) {
    const wanted = regionName === undefined ? '' : ` in region ${regionName}`
    const advice = `${offered}; set openstack.interface or openstack.region_name to one of these`
    throw noEndpoint(`no ${name} endpoint of ${type}${wanted}`, advice)
  }
  if (new Set(fitting.map(({ region }) => region)).size > 1) {
    throw noEndpoint(`more than one region for ${type}`, `${offered}; set openstack.region_name to one of these`)
  }
  return first.url
}

const listed = (names: readonly string[]): string => [...new Set(names)].join(', ') || 'nothing'

const noEndpoint = (what: string, advice: string): CloudError =>
  new CloudError('failed', `Keystone's catalogue has ${what}: ${advice}.`)
