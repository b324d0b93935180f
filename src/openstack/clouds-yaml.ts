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
import { type Layer, layerOf, type Told } from './layers.ts'

/** Which cloud's entry is wanted, and which of its regions. */
export interface Wish {
  /** Undefined: the only one that there is, if there are any files at all. */
  readonly cloud: string | undefined
  /** What names the cloud: a variable or a key. */
  readonly asked: string
  readonly region: string | undefined
}

/** A part of what files say of a cloud, and how its keys are called in messages. */
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
  const parts = [...profile, ...entry, ...(region?.parts ?? [])]
  const entries = [...entriesOf(parts), ...authEntriesOf(parts, look)]
  return layerOf(region ? [...entries, ['region_name', region.told]] : entries)
}

/** Undefined: there is none, which is among the problems where one was asked for. */
function nameOfCloud({ cloud, asked }: Wish, found: readonly ClientFile[], look: Look): string | undefined {
  if (look.problems.length > 0) return undefined // A file is broken: who knows what it would have held?
  const names = [...new Set(found.flatMap(({ content }) => Object.keys(sectionAt(content, 'clouds') ?? {})))]
  const paths = found.map(({ path }) => path).join(' and ')
  if (cloud === undefined) {
    if (names.length > 1) look.problems.push(`${asked}: missing; name one of ${names.join(', ')} (in ${paths}).`)
    return names.length === 1 ? names[0] : undefined
  }
  if (found.some(file => partOf(file, 'clouds', cloud).length > 0)) return cloud
  if (found.length > 0) {
    const has = names.join(', ') || 'no clouds at all'
    look.problems.push(`${asked}: there is no cloud "${cloud}" in ${paths}; known there: ${has}.`)
    return undefined
  }
  const places = foldersOf(look.env, look.files).join(', ')
  const advice = 'Write one, have OS_CLIENT_CONFIG_FILE name one, or set openstack.auth.'
  look.problems.push(`${asked}: found no clouds.yaml (.yml, .json) in ${places}. ${advice}`)
  return undefined
}

function partOf({ path, content }: ClientFile, list: 'clouds' | 'public-clouds', name: string): Part[] {
  const values = sectionAt(sectionAt(content, list) ?? {}, name)
  return values ? [{ values: withUnderscores(values), nameOf: key => `${list}.${name}.${key} in ${path}` }] : []
}

/** What the strongest part says of a key. */
function said(parts: readonly Part[], key: string): Told | undefined {
  const part = parts.findLast(({ values }) => values[key] !== undefined && values[key] !== null)
  return part && { value: part.values[key], name: part.nameOf(key) }
}

function profileOf(entry: readonly Part[], look: Look): Part[] {
  const told = said(entry, 'profile') ?? said(entry, 'cloud') // The old word for it.
  if (!told || told.value === '') return []
  const file = findFile('clouds-public', look)
  const parts = file && typeof told.value === 'string' ? partOf(file, 'public-clouds', told.value) : []
  if (parts.length > 0) return parts
  const where = file
    ? `in ${file.path}`
    : `for want of a clouds-public.yaml (in ${foldersOf(look.env, look.files).join(', ')})`
  const advice = 'write auth_url and the other settings of the profile out in its place'
  const known = 'those that openstacksdk brings along are not known here'
  look.problems.push(
    `${told.name}: there is no profile ${JSON.stringify(told.value)} ${where}, and ${known}; ${advice}.`
  )
  return []
}

interface Region {
  readonly told: Told
  readonly parts: readonly Part[]
}

/** The region that is wanted, else the first. Only a list of `regions` is closed. */
function regionOf(from: readonly (readonly Part[])[], wanted: string | undefined, look: Look): Region | undefined {
  const places = from.flatMap(parts =>
    (['regions', 'region_name'] as const).map(key => ({ key, told: said(parts, key) }))
  )
  const { key, told } = places.find(place => place.told !== undefined) ?? {}
  if (!told) return undefined
  const names = typeof told.value === 'string' ? told.value.split(',') : told.value
  const regions = (Array.isArray(names) ? names : [names]).flatMap((region: unknown) => toRegion(region, told, look))
  const region = wanted === undefined ? regions[0] : regions.find(({ told: { value } }) => value === wanted)
  if (!region && wanted !== undefined && key === 'regions') {
    const known = regions.map(({ told: { value } }) => value).join(', ') || 'none'
    look.problems.push(`${told.name}: has no region "${wanted}"; known there: ${known}.`)
  }
  return region
}

function toRegion(region: unknown, { name }: Told, { problems }: Look): Region[] {
  if (typeof region === 'string') return [{ told: { value: region, name }, parts: [] }]
  const { name: value, values = {}, ...unknown } = isSection(region) ? region : {}
  if (typeof value === 'string' && isSection(values) && Object.keys(unknown).length === 0) {
    const part = { values: withUnderscores(values), nameOf: (key: string) => `${name} (${value}: ${key})` }
    return [{ told: { value, name }, parts: [part] }]
  }
  problems.push(`${name}: each region must be a name, or a mapping with name and values.`)
  return []
}

const entriesOf = (parts: readonly Part[]): [string, Told][] =>
  parts.flatMap(({ values, nameOf }) =>
    Object.entries(values)
      .filter(([key]) => key !== 'auth')
      .map(([key, value]): [string, Told] => [key, { value, name: nameOf(key) }])
  )

/** What the clients know under `auth`; anything else there they refuse too. */
export const AUTH_KEYS = [
  'auth_url username user_id user_name password user_domain_name user_domain_id',
  'project_name project_id tenant_name tenant_id project_domain_name project_domain_id',
  'domain_name domain_id default_domain_name default_domain_id system_scope trust_id',
  'application_credential_name application_credential_id application_credential_secret token auth_token'
].flatMap(keys => keys.split(' '))

/** A key may be half a password. */
export const unknownKey = (key: string): string =>
  `unknown key ${key.replace(/\W.*$/s, '…')}; known there: ${AUTH_KEYS.join(', ')}`

/** They come last, since they are stronger than the same keys beside `auth`. */
function authEntriesOf(parts: readonly Part[], { problems }: Look): [string, Told][] {
  return parts.flatMap(({ values, nameOf }) => {
    const entries = Object.entries(withUnderscores(sectionAt(values, 'auth') ?? {}))
    for (const [key] of entries.filter(([name]) => !AUTH_KEYS.includes(name))) {
      problems.push(`${nameOf('auth')}: ${unknownKey(key)}.`)
    }
    return entries.map(([key, value]): [string, Told] => [key, { value, name: nameOf(`auth.${key}`) }])
  })
}
