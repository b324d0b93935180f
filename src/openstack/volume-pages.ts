import type { Call, Volume, VolumeFilter } from '../pool/ports.ts'
import type { Cinder, Query } from './cinder.ts'
import { BUILT_IN_FILTERS_MINOR } from './endpoint.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import { cutInPages, inOrder, type Listing, PAGE_SIZE, since } from './listing.ts'
import { isIn, toVolume } from './volume-body.ts'

/** The first microversion at which everyone may ask for volumes by their time. */
const TIME_FILTER_MINOR = 60

/** Every volume that matches, in order of their ids. */
export async function* volumePages(
  cinder: Cinder,
  filter: VolumeFilter,
  call: Call
): AsyncGenerator<readonly Volume[]> {
  for await (const page of acceptedPages(cinder, filter, call)) {
    const matching = page.filter(volume => isIn(cinder, volume) && isMatch(volume, filter))
    if (matching.length > 0) yield matching
  }
}

/**
 * Where Cinder refuses conditions that every release knows, it is asked as it was before a file of the operator's said which
 * of them are allowed; if that does, from then on.
 */
async function* acceptedPages(cinder: Cinder, filter: VolumeFilter, call: Call): AsyncGenerator<readonly Volume[]> {
  const endpoint = await cinder.endpoint(call)
  const { minor, filterMinor } = endpoint
  let isAccepted = false
  try {
    for await (const page of pagesAt(filterMinor, cinder, filter, call)) {
      isAccepted = true
      yield page
    }
    return
  } catch (error) {
    const isRefused = isCloudError(error, 'bad_request') && Object.keys(filter).length > 0 && !isAccepted
    if (!isRefused || filterMinor <= BUILT_IN_FILTERS_MINOR) throw error
    if ((await cinder.endpoint(call)).minor !== minor) throw error // Another Cinder by now, which was asked the wrong way.
  }
  for await (const page of pagesAt(BUILT_IN_FILTERS_MINOR, cinder, filter, call)) {
    cinder.keepToBuiltInFilters(endpoint)
    yield page
  }
  cinder.keepToBuiltInFilters(endpoint)
}

/** Where the time cannot be asked for, the newest come first, and the older ones are not read, however many there are. */
async function* pagesAt(
  minor: number,
  cinder: Cinder,
  filter: VolumeFilter,
  call: Call
): AsyncGenerator<readonly Volume[]> {
  const { createdSince } = filter
  const query = queryOf(filter)
  if (createdSince === undefined) yield* inOrder(cinder, listingOf(cinder, minor, query), orderOf, call)
  else if (minor >= TIME_FILTER_MINOR) {
    const timed = { ...query, created_at: `gte:${createdSince.toISOString().slice(0, 19)}` }
    yield* inOrder(cinder, listingOf(cinder, minor, timed), orderOf, call)
  } else {
    const newestFirst = listingOf(cinder, minor, { ...query, sort: 'created_at:desc,id:desc' })
    yield* cutInPages(await since(cinder, newestFirst, wholeSecond(createdSince), call), orderOf)
  }
}

const queryOf = ({ name, status, metadata }: VolumeFilter): Query => ({
  limit: String(PAGE_SIZE),
  sort: 'id:asc',
  name,
  status,
  // Read as a Python literal: an object of strings in JSON is one.
  metadata: metadata && JSON.stringify(metadata)
})

const listingOf = (cinder: Cinder, minor: number, query: Query): Listing<Volume> => ({
  operation: 'volume_list',
  path: '/volumes/detail',
  key: 'volumes',
  query,
  minor,
  read: (body: Fields) => toVolume(body, cinder)
})

const orderOf = ({ id }: Volume): string => id

/** Cinder's times have no more. */
const wholeSecond = (time: Date): Date => new Date(Math.floor(time.getTime() / 1000) * 1000)

/** Cinder's own filters may ignore case. */
function isMatch(volume: Volume, { name, status, metadata = {}, createdSince }: VolumeFilter): boolean {
  return (
    (name === undefined || volume.name === name) &&
    (status === undefined || volume.status === status) &&
    (createdSince === undefined || volume.createdAt >= wholeSecond(createdSince)) &&
    Object.entries(metadata).every(([key, value]) => volume.metadata[key] === value)
  )
}
