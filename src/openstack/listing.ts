import { CloudError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import type { Cinder, CinderRequest } from './cinder.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'

export interface Listing<T> extends Pick<CinderRequest, 'operation' | 'path' | 'query' | 'minor'> {
  /** The name of the list in the answer. */
  readonly key: string
  readonly read: (item: Fields) => T
}

interface Item {
  readonly id: string
}

interface Page<T> {
  readonly items: T[]
  /** Cinder links to a next page. The link is not followed: its address may be wrong, and its marker is not always heeded. */
  readonly hasNext: boolean
}

export const PAGE_SIZE = 1_000
const PAGES_MAX = 1_000
const RESTARTS_MAX = 5

/** Page after page in order, nothing twice. Each page has a time limit of its own, and none is kept. */
export async function* inOrder<T extends Item>(
  cinder: Cinder,
  listing: Listing<T>,
  /** What the query sorts by, ascending. No two items have the same. */
  orderOf: (item: T) => string,
  call: Call
): AsyncGenerator<T[]> {
  let given = '' // As far as this.
  for await (const items of pagesByMarker(cinder, listing, call)) {
    const fresh = items.filter(item => orderOf(item) > given)
    const isAscending = fresh.every((item, index) => index === 0 || orderOf(fresh[index - 1] ?? item) < orderOf(item))
    if (!isAscending) throw failure(listing, NOT_IN_ORDER)
    const last = fresh.at(-1)
    if (!last) continue
    given = orderOf(last)
    yield fresh
  }
}

/** The items since a time, of a list that is sorted by it, the newest first. Reads no further than to the first older one. */
export async function since<T extends Item & { readonly createdAt: Date }>(
  cinder: Cinder,
  listing: Listing<T>,
  time: Date,
  call: Call
): Promise<T[]> {
  const found = new Map<string, T>()
  for await (const items of pagesByMarker(cinder, listing, call)) {
    const isDescending = items.every(({ createdAt }, index) => (items[index - 1]?.createdAt ?? createdAt) >= createdAt)
    if (!isDescending) throw failure(listing, NOT_IN_ORDER)
    for (const item of items) if (item.createdAt >= time) found.set(item.id, item)
    if (items.some(({ createdAt }) => createdAt < time)) break
  }
  return [...found.values()]
}

/**
 * Each item of a list that has no order and heeds no marker. Items that are made or deleted meanwhile may move others past the
 * reader: an item that the list lacks may exist all the same.
 */
export async function byOffset<T extends Item>(cinder: Cinder, listing: Listing<T>, call: Call): Promise<T[]> {
  const found = new Map<string, T>()
  for (let page = 0, read = 0; page < PAGES_MAX; page++) {
    const query = { ...listing.query, offset: read === 0 ? undefined : String(read) }
    const { items, hasNext } = await onePage(cinder, { ...listing, query }, call)
    const known = found.size
    for (const item of items) found.set(item.id, item)
    read += items.length
    // Whenever the whole list is as long as a page or longer, the link is there: at its end too, and for ever after.
    if (!hasNext || found.size === known) return [...found.values()]
  }
  throw failure(listing, TOO_LONG)
}

/** Sorts, and cuts in pages. */
export function* cutInPages<T>(items: readonly T[], orderOf: (item: T) => string): Generator<T[]> {
  const sorted = items.toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))
  for (let start = 0; start < sorted.length; start += PAGE_SIZE) yield sorted.slice(start, start + PAGE_SIZE)
}

/** Begins again where the item that a page should start after was deleted meanwhile. */
async function* pagesByMarker<T extends Item>(cinder: Cinder, listing: Listing<T>, call: Call): AsyncGenerator<T[]> {
  let marker: string | undefined
  for (let page = 0, restarts = 0; page < PAGES_MAX; page++) {
    try {
      const { items, hasNext } = await onePage(cinder, { ...listing, query: { ...listing.query, marker } }, call)
      marker = items.at(-1)?.id
      yield items
      if (!hasNext || marker === undefined) return
    } catch (error) {
      if (marker === undefined || !isCloudError(error, 'not_found')) throw error
      if (++restarts > RESTARTS_MAX) throw failure(listing, 'changes faster than it can be read', error)
      marker = undefined
    }
  }
  throw failure(listing, TOO_LONG)
}

async function onePage<T>(cinder: Cinder, { key, read, ...listing }: Listing<T>, call: Call): Promise<Page<T>> {
  const links = `${key}_links`
  return await cinder.ask(listing, call, body => ({
    items: body.list(key).map(read),
    hasNext: body.has(links) && body.list(links).some(link => link.optionalText('rel') === 'next')
  }))
}

const NOT_IN_ORDER = 'is not in the order that was asked for'
const TOO_LONG = `has more than ${PAGES_MAX} pages`

const failure = ({ operation }: { operation: string }, what: string, cause?: unknown): CloudError =>
  new CloudError('failed', `Cinder: the list ${what} (${operation})`, { cause })
