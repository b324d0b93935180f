import { type ClientFile, findFile, foldersOf, type Look, type Section, sectionAt } from './client-files.ts'
import { isObject } from './fields.ts'
import type { Entry, Part } from './layers.ts'

/** Which cloud's entry is wanted, and which of its regions. */
export interface Wish {
  /** Undefined: the only one that there is, if there are any files at all. */
  readonly cloud: string | undefined
  /** What names the cloud: a variable or a key. */
  readonly asked: string
  readonly region: string | undefined
}

/**
 * What the files of Python's OpenStack clients say of a cloud, the strongest last: its profile in clouds-public.yaml, its
 * entry in clouds.yaml, what secure.yaml lays over it, and the values of its region.
 */
export function cloudParts({ cloud, asked, region }: Wish, look: Look): Part[] {
  const { problems } = look
  const found = [findFile('clouds', look), findFile('secure', look)].filter(file => file !== undefined)
  if (problems.length > 0) return [] // A file is broken: nobody knows what it would have held.
  const names = [...new Set(found.flatMap(({ content }) => Object.keys(sectionAt(content, 'clouds') ?? {})))]
  const paths = found.map(({ path }) => path).join(' and ')
  if (cloud === undefined && names.length > 1) {
    problems.push(`${asked}: missing; name one of ${names.join(', ')} (in ${paths}).`)
    return []
  }
  const name = cloud ?? names[0] ?? ''
  const entry = found.flatMap(file => partOf(file, 'clouds', name))
  if (cloud !== undefined && entry.length === 0) {
    const advice = 'Write one, have OS_CLIENT_CONFIG_FILE name one, or set openstack.auth.'
    const nowhere = `found no clouds.yaml (.yml, .json) in ${foldersOf(look).join(', ')}. ${advice}`
    const known = `known there: ${names.join(', ') || 'no clouds at all'}.`
    problems.push(`${asked}: ${paths ? `there is no cloud "${cloud}" in ${paths}; ${known}` : nowhere}`)
  }
  const profile = profileOf(entry, look)
  return [...profile, ...entry, ...regionOf(entry, profile, region, look)]
}

function partOf({ path, content }: ClientFile, list: 'clouds' | 'public-clouds', name: string): Part[] {
  const values = sectionAt(sectionAt(content, list) ?? {}, name)
  return values ? [{ values: withUnderscores(values), nameOf: key => `${list}.${name}.${key} in ${path}` }] : []
}

/** What the strongest part says of a key. */
function told(parts: readonly Part[], key: string): Entry | undefined {
  const part = parts.findLast(({ values }) => values[key] !== undefined && values[key] !== null)
  return part && [key, part.values[key], part.nameOf(key)]
}

function profileOf(entry: readonly Part[], look: Look): Part[] {
  const [, profile, name] = told(entry, 'profile') ?? told(entry, 'cloud') ?? [] // The old word for it.
  if (profile === undefined || profile === '') return []
  const file = findFile('clouds-public', look)
  const parts = file && typeof profile === 'string' ? partOf(file, 'public-clouds', profile) : []
  if (parts.length > 0) return parts
  const where = file ? `in ${file.path}` : `for want of a clouds-public.yaml (in ${foldersOf(look).join(', ')})`
  const known = 'those that openstacksdk brings along are not known here'
  const advice = 'write auth_url and the other settings of the profile out in its place'
  const what = `there is no profile ${JSON.stringify(profile)} ${where}, and ${known}`
  look.problems.push(`${name}: ${what}; ${advice}.`)
  return []
}

/** What is said of the region that is wanted, else of the first. Only a list of `regions` is closed. */
function regionOf(entry: readonly Part[], profile: readonly Part[], wanted: string | undefined, look: Look): Part[] {
  const places = [entry, profile].flatMap(parts => [told(parts, 'regions'), told(parts, 'region_name')])
  const place = places.find(found => found !== undefined)
  if (!place) return []
  const [key, value, name] = place
  const names: unknown = typeof value === 'string' ? value.split(',') : value
  const regions = (Array.isArray(names) ? names : [names]).flatMap((region: unknown) => toRegion(region, name, look))
  const isWanted = ({ values }: Part): boolean => wanted === undefined || values['region_name'] === wanted
  const region = regions.find(isWanted)
  if (!region && wanted !== undefined && key === 'regions') {
    const known = regions.map(({ values }) => values['region_name']).join(', ') || 'none'
    look.problems.push(`${name}: has no region "${wanted}"; known there: ${known}.`)
  }
  return region ? [region] : []
}

function toRegion(region: unknown, from: string, { problems }: Look): Part[] {
  const { name, values = {}, ...unknown } = isObject(region) ? region : { name: region }
  if (typeof name === 'string' && isObject(values) && Object.keys(unknown).length === 0) {
    const nameOf = (key: string): string => (key === 'region_name' ? from : `${from} (${name}: ${key})`)
    return [{ values: { ...withUnderscores(values), region_name: name }, nameOf }]
  }
  problems.push(`${from}: each region must be a name, or a mapping with name and values.`)
  return []
}

/** `auth-url` is `auth_url`. */
function withUnderscores(section: Section): Section {
  const inner = (value: unknown): unknown => (isObject(value) ? withUnderscores(value) : value)
  return Object.fromEntries(Object.entries(section).map(([key, value]) => [key.replaceAll('-', '_'), inner(value)]))
}
