import type { Cloud } from './cloud.ts'
import { literal } from './literal.ts'
import { isAdmin, type Volume } from './model.ts'
import { type Column, type Page, page, type Query } from './paging.ts'
import { badRequest } from './refusal.ts'
import type { Viewer } from './views.ts'
import { findVolume } from './volume-record.ts'

type Test = (volume: Volume) => boolean

const NO_FILTERS = ['limit', 'marker', 'offset', 'sort', 'sort_key', 'sort_dir', 'all_tenants']

/** Columns that are compared as they are. */
const COLUMNS: Record<string, Column<Volume>> = {
  id: volume => volume.id,
  project_id: volume => volume.projectId,
  user_id: volume => volume.userId,
  snapshot_id: volume => volume.snapshotId,
  source_volid: volume => volume.sourceVolumeId,
  volume_type_id: volume => volume.type.id,
  name: volume => (volume.name ?? '').toLowerCase(),
  status: volume => volume.status,
  size: volume => volume.sizeGib,
  availability_zone: volume => volume.availabilityZone,
  bootable: volume => volume.bootable,
  group_id: () => null,
  migration_status: () => null,
  consumes_quota: () => true,
  created_at: volume => seconds(volume.createdAt),
  updated_at: volume => (volume.updatedAt === null ? null : seconds(volume.updatedAt))
}

/** The database keeps whole seconds. */
const seconds = (ms: number): number => Math.floor(ms / 1000) * 1000

/** One page of the volumes that a query asks for, as this microversion understands it. */
export function listVolumes(cloud: Cloud, viewer: Viewer, query: Query): Page<Volume> {
  const { caller, minor } = viewer
  const { oldFilters, fileFilters } = cloud.traits
  checkFilters(cloud, query, fileFilters, viewer)
  const filters = filtersOf(query, minor, isAdmin(caller) ? undefined : minor >= 31 ? fileFilters : oldFilters)
  const { all_tenants: all } = query
  const everywhere = isAdmin(caller) && isTrue(all)
  const tests = Object.entries(filters).map(([name, value]) => testFor(name, value))
  const rows = tests.includes(nothing) ? [] : candidates(cloud, everywhere ? undefined : caller.projectId, filters)
  const matches: Test = volume => {
    for (const test of tests) if (!test(volume)) return false
    return true
  }
  const column = (name: string): Column<Volume> | undefined => COLUMNS[name === 'display_name' ? 'name' : name]
  return page(rows, matches, query, column, id => findVolume(cloud, caller, id), cloud.listMax)
}

/** An administrator may filter by anything, others by what is known: the rest is dropped here. */
function filtersOf(query: Query, minor: number, allowed: readonly string[] | undefined): Record<string, string> {
  const filters = Object.entries(query).filter(([name]) => !othersAt(minor).includes(name))
  return Object.fromEntries(filters.filter(([name]) => allowed?.includes(name) ?? true))
}

const othersAt = (minor: number): readonly string[] => (minor >= 45 ? [...NO_FILTERS, 'with_count'] : NO_FILTERS)

/** Unknown filters were dropped once, and are refused since 3.31, unless an administrator asks. A file says which are known. */
export function checkFilters(
  { variant }: Cloud,
  query: Query,
  inFile: readonly string[],
  { caller, minor }: Viewer
): void {
  if (minor < 31 || isAdmin(caller)) return
  const known = [...(variant.resourceFilters ? inFile : []), ...othersAt(minor)]
  const unknown = Object.keys(query).filter(name => !known.includes(name))
  if (unknown.length > 0) throw badRequest(`Invalid filters ${unknown.join(',')} are found in query options.`)
}

const nothing: Test = () => false

function testFor(name: string, text: string): Test {
  if (name === 'created_at' || name === 'updated_at') return timeTest(name, text)
  if (name === 'name') return volume => (volume.name ?? '').toLowerCase() === text.toLowerCase()
  const value = literal(text)
  if (name === 'metadata') return metadataTest(value)
  const column = COLUMNS[name]
  if (!column) return nothing
  if (name === 'bootable') return volume => volume.bootable === isTrue(text)
  const wanted = new Set((Array.isArray(value) ? value : [value]).map(String))
  return volume => wanted.has(String(column(volume)))
}

/** All keys must match, values without case, as the database compares them; what is no dictionary matches nothing. */
function metadataTest(value: unknown): Test {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return nothing
  const wanted = new Map(Object.entries(value).map(([key, text]) => [key, String(text).toLowerCase()]))
  return ({ metadata }) => {
    for (const [key, text] of wanted) if (metadata[key]?.toLowerCase() !== text) return false
    return true
  }
}

/** `gte:2026-01-01T00:00:00`; several, joined by commas, are alternatives. */
function timeTest(name: string, text: string): Test {
  const column = COLUMNS[name]
  const alternatives = text.split(',').map(part => {
    const [operator = '', ...rest] = part.split(':')
    const compare = COMPARE[operator]
    if (!compare) throw badRequest(`Invalid ${operator} operator`)
    const time = rest.join(':')
    const at = Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(time) ? time : `${time}Z`)
    if (Number.isNaN(at)) throw badRequest(`Invalid ${time} value`)
    return (value: number): boolean => compare(value, at)
  })
  return volume => {
    const value = column?.(volume)
    return typeof value === 'number' && alternatives.some(matches => matches(value))
  }
}

const COMPARE: Record<string, (value: number, at: number) => boolean> = {
  gt: (value, at) => value > at,
  gte: (value, at) => value >= at,
  lt: (value, at) => value < at,
  lte: (value, at) => value <= at,
  eq: (value, at) => value === at,
  neq: (value, at) => value !== at
}

/** Those that an index offers; the tests still run over them. */
function candidates(cloud: Cloud, projectId: string | undefined, filters: Record<string, string>): Iterable<Volume> {
  const { name, status, metadata, project_id: wantedProject } = filters
  const project = projectId ?? wantedProject
  if (project === undefined) return cloud.volumes.of()
  const statuses = status === undefined ? undefined : literal(status)
  const wanted = metadata === undefined ? undefined : literal(metadata)
  return cloud.volumes.candidates(project, {
    ...(name === undefined ? {} : { names: [name] }),
    ...(statuses === undefined ? {} : { statuses: (Array.isArray(statuses) ? statuses : [statuses]).map(String) }),
    ...(typeof wanted === 'object' && wanted !== null ? { metadata: new Map(Object.entries(wanted)) } : {})
  })
}

export const isTrue = (text: string | undefined): boolean => /^(1|t|true|on|y|yes)$/i.test(text ?? '')
