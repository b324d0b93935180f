import {
  type ClientFile,
  findFile,
  foldersOf,
  isSection,
  type Look,
  type Section,
  sectionAt,
  withUnderscores
} from './client-files.ts'
import { type Entry, type Layer, layerOf } from './layers.ts'

/** Which cloud's entry is wanted, and which of its regions. */
export interface Wish {
  /** Undefined: the only one that there is, if there are any files at all. */
  readonly cloud: string | undefined
  /** What names the cloud: a variable or a key. */
  readonly asked: string
  readonly region: string | undefined
}

/** A part of what files say of a cloud, and how messages call its keys. */
interface Part {
  readonly values: Section
  readonly nameOf: (key: string) => string
}

/**
 * What the files of Python's OpenStack clients say of a cloud, the strongest last: its profile in clouds-public.yaml, its
 * entry in clouds.yaml, what secure.yaml lays over it, and the values of its region.
 */
export function cloudLayer(wish: Wish, look: Look): Layer {
  const found = [findFile('clouds', look), findFile('secure', look)].filter(file => file !== undefined)
  const name = nameOfCloud(wish, found, look)
  if (name === undefined) return layerOf([])
  const entry = found.flatMap(file => partOf(file, 'clouds', name))
  const profile = profileOf(entry, look)
  const region = regionOf([entry, profile], wish.region, look)
  const parts = [...profile, ...entry, ...(region ? [region] : [])]
  const entries = [...entriesOf(parts), ...authEntriesOf(parts, look)]
  return layerOf(region ? [...entries, ['region_name', region.name, region.from]] : entries)
}

/** Undefined: there is none. If one was asked for, this is a problem. */
function nameOfCloud({ cloud, asked }: Wish, found: readonly ClientFile[], look: Look): string | undefined {
  const { problems } = look
  if (problems.length > 0) return undefined // A file is broken: nobody knows what it would have held.
  const names = [...new Set(found.flatMap(({ content }) => Object.keys(sectionAt(content, 'clouds') ?? {})))]
  const paths = found.map(({ path }) => path).join(' and ')
  if (cloud === undefined) {
    if (names.length > 1) problems.push(`${asked}: missing; name one of ${names.join(', ')} (in ${paths}).`)
    return names.length === 1 ? names[0] : undefined
  }
  if (found.some(file => partOf(file, 'clouds', cloud).length > 0)) return cloud
  if (found.length > 0) {
    const known = names.join(', ') || 'no clouds at all'
    problems.push(`${asked}: there is no cloud "${cloud}" in ${paths}; known there: ${known}.`)
    return undefined
  }
  const advice = 'Write one, have OS_CLIENT_CONFIG_FILE name one, or set openstack.auth.'
  problems.push(`${asked}: found no clouds.yaml (.yml, .json) in ${foldersOf(look).join(', ')}. ${advice}`)
  return undefined
}

function partOf({ path, content }: ClientFile, list: 'clouds' | 'public-clouds', name: string): Part[] {
  const values = sectionAt(sectionAt(content, list) ?? {}, name)
  return values ? [{ values: withUnderscores(values), nameOf: key => `${list}.${name}.${key} in ${path}` }] : []
}

/** What the strongest part says of a key. */
function told(parts: readonly Part[], key: string): { value: unknown; name: string } | undefined {
  const part = parts.findLast(({ values }) => values[key] !== undefined && values[key] !== null)
  return part && { value: part.values[key], name: part.nameOf(key) }
}

function profileOf(entry: readonly Part[], look: Look): Part[] {
  const profile = told(entry, 'profile') ?? told(entry, 'cloud') // The old word for it.
  if (!profile || profile.value === '') return []
  const file = findFile('clouds-public', look)
  const parts = file && typeof profile.value === 'string' ? partOf(file, 'public-clouds', profile.value) : []
  if (parts.length > 0) return parts
  const where = file ? `in ${file.path}` : `for want of a clouds-public.yaml (in ${foldersOf(look).join(', ')})`
  const known = 'those that openstacksdk brings along are not known here'
  const advice = 'write auth_url and the other settings of the profile out in its place'
  const what = `there is no profile ${JSON.stringify(profile.value)} ${where}, and ${known}`
  look.problems.push(`${profile.name}: ${what}; ${advice}.`)
  return []
}

interface Region extends Part {
  readonly name: string
  /** The key that lists it. */
  readonly from: string
}

/** The region that is wanted, else the first. Only a list of `regions` is closed. */
function regionOf(from: readonly (readonly Part[])[], wanted: string | undefined, look: Look): Region | undefined {
  const places = from.flatMap(parts => [told(parts, 'regions'), told(parts, 'region_name')])
  const index = places.findIndex(place => place !== undefined)
  const place = places[index]
  if (!place) return undefined
  const names = typeof place.value === 'string' ? place.value.split(',') : place.value
  const regions = (Array.isArray(names) ? names : [names]).flatMap((region: unknown) =>
    toRegion(region, place.name, look)
  )
  const region = wanted === undefined ? regions[0] : regions.find(({ name }) => name === wanted)
  const isClosed = index % 2 === 0
  if (!region && wanted !== undefined && isClosed) {
    const known = regions.map(({ name }) => name).join(', ') || 'none'
    look.problems.push(`${place.name}: has no region "${wanted}"; known there: ${known}.`)
  }
  return region
}

function toRegion(region: unknown, from: string, { problems }: Look): Region[] {
  const { name, values = {}, ...unknown } = isSection(region) ? region : { name: region }
  if (typeof name === 'string' && isSection(values) && Object.keys(unknown).length === 0) {
    return [{ name, from, values: withUnderscores(values), nameOf: key => `${from} (${name}: ${key})` }]
  }
  problems.push(`${from}: each region must be a name, or a mapping with name and values.`)
  return []
}

const entriesOf = (parts: readonly Part[]): Entry[] =>
  parts.flatMap(({ values, nameOf }) =>
    Object.entries(values).flatMap(([key, value]) => (key === 'auth' ? [] : [[key, value, nameOf(key)] as const]))
  )

/** What the clients know under `auth`. They refuse anything else there too. */
const AUTH_KEYS = [
  'auth_url username user_id user_name password user_domain_name user_domain_id',
  'project_name project_id tenant_name tenant_id project_domain_name project_domain_id',
  'domain_name domain_id default_domain_name default_domain_id system_scope trust_id',
  'application_credential_name application_credential_id application_credential_secret token auth_token'
].flatMap(keys => keys.split(' '))

/** A wrong key is cut, since it may be half a password. */
export const unknownKeys = (auth: object, name: string): string[] =>
  Object.keys(auth)
    .filter(key => !AUTH_KEYS.includes(key))
    .map(key => `${name}: unknown key ${key.replace(/\W.*$/s, '…')}; known there: ${AUTH_KEYS.join(', ')}.`)

/** They come last: they are stronger than the same keys beside `auth`. */
const authEntriesOf = (parts: readonly Part[], { problems }: Look): Entry[] =>
  parts.flatMap(({ values, nameOf }) => {
    const auth = withUnderscores(sectionAt(values, 'auth') ?? {})
    problems.push(...unknownKeys(auth, nameOf('auth')))
    return Object.entries(auth).map(([key, value]) => [key, value, nameOf(`auth.${key}`)] as const)
  })
