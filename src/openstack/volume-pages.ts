import type { Call, Volume, VolumeFilter } from '../pool/ports.ts'
import type { Cinder, Query } from './cinder.ts'
import { BUILT_IN_FILTERS_MINOR } from './endpoint.ts'
import { isCloudError } from './failures.ts'
import { cutInPages, inOrder, type Listing, PAGE_SIZE, since } from './listing.ts'
import { isIn, toVolume } from './volume-body.ts'

/** The first microversion at which everyone may ask for volumes by their time. */
const TIME_FILTER_MINOR = 60

type Pages = AsyncGenerator<readonly Volume[]>

/** Every volume that matches, in order of their ids. */
export async function* volumePages(cinder: Cinder, filter: VolumeFilter, call: Call): Pages {
  for await (const page of acceptedPages(cinder, filter, call)) {
    const matching = page.filter(volume => isIn(cinder, volume) && isMatch(volume, filter))
    if (matching.length > 0) yield matching
  }
}

/**
 * Cinder may refuse filters that every release has: since a later microversion, a file of the operator says which ones are allowed.
 * Then it is asked with the microversion before that. If it accepts this, all later lists ask so too.
 */
async function* acceptedPages(cinder: Cinder, filter: VolumeFilter, call: Call): Pages {
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
    if ((await cinder.endpoint(call)).minor !== minor) throw error // Another Cinder by now, asked in the wrong way.
  }
  for await (const page of pagesAt(BUILT_IN_FILTERS_MINOR, cinder, filter, call)) {
    cinder.endpoints.keepToBuiltInFilters(endpoint.root)
    yield page
  }
  cinder.endpoints.keepToBuiltInFilters(endpoint.root)
}

/** Where Cinder cannot filter by time, the newest come first and the older ones are not read, however many there are. */
async function* pagesAt(minor: number, cinder: Cinder, filter: VolumeFilter, call: Call): Pages {
  const { createdSince } = filter
  const listing = (query: Query): Listing<Volume> => ({
    operation: 'volume_list',
    path: '/volumes/detail',
    key: 'volumes',
    query: { ...queryOf(filter), ...query },
    minor,
    read: body => toVolume(body, cinder)
  })
  if (createdSince === undefined) yield* inOrder(cinder, listing({}), orderOf, call)
  else if (minor >= TIME_FILTER_MINOR) {
    const timed = listing({ created_at: `gte:${createdSince.toISOString().slice(0, 19)}` })
    yield* inOrder(cinder, timed, orderOf, call)
  } else {
    const newestFirst = listing({ sort: 'created_at:desc,id:desc' })
    yield* cutInPages(await since(cinder, newestFirst, wholeSecond(createdSince), call), orderOf)
  }
}

const queryOf = ({ name, status, metadata }: VolumeFilter): Query => ({
  limit: String(PAGE_SIZE),
  sort: 'id:asc',
  name,
  status,
  // Cinder reads a Python literal: an object of strings in JSON is one.
  metadata: metadata && JSON.stringify(metadata)
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
