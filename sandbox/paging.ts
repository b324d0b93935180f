import { badRequest, invalidInput } from './refusal.ts'

export type Query = Readonly<Record<string, string>>

export interface Page<T> {
  readonly rows: readonly T[]
  /** How many match, on all pages. */
  readonly count: number
  /** Whether the page is full: Cinder then links to a next one, also where nothing follows. */
  readonly full: boolean
}

interface Row {
  readonly id: string
}
/** What rows are sorted by. */
export type Column<T> = (row: T) => string | number | boolean | null
interface Order<T> {
  readonly compare: (left: T, right: T) => number
  readonly descending: boolean
}

/**
 * The page of the rows that match, as a query's `sort`, `marker`, `limit` and `offset` ask for. One pass that keeps the
 * first few and sorts only them: a project may hold a hundred thousand volumes.
 */
export function page<T extends Row>(
  rows: Iterable<T>,
  matches: (row: T) => boolean,
  query: Query,
  column: (name: string) => Column<T> | undefined,
  find: (marker: string) => T,
  rowsMax: number
): Page<T> {
  const { limit, offset } = sliceOf(query, rowsMax)
  const { compare, descending } = order(query, column)
  const { marker } = query
  const previous = marker === undefined ? undefined : find(marker)
  const wanted = offset + limit
  let best: T[] = []
  let worst: T | undefined
  let count = 0
  // Rows come about as old as they are: from the right end few of them have to be sorted in.
  for (const row of descending ? [...rows].toReversed() : rows) {
    if (!matches(row)) continue
    count += 1
    if (previous && compare(row, previous) <= 0) continue
    if (worst && compare(row, worst) >= 0) continue
    best.push(row)
    if (best.length < 2 * wanted + 64) continue
    best = best.toSorted(compare).slice(0, wanted)
    worst = best.at(-1)
  }
  const shown = best.toSorted(compare).slice(offset, wanted)
  return { rows: shown, count, full: limit > 0 && shown.length === limit }
}

/** Which part of a list a query asks for, and no more than a page may have. */
export const sliceOf = (query: Query, rowsMax: number): { limit: number; offset: number } => ({
  limit: Math.min(wholeNumber('limit', query) ?? rowsMax, rowsMax),
  offset: wholeNumber('offset', query) ?? 0
})

function wholeNumber(name: string, { [name]: text }: Query): number | undefined {
  if (text === undefined) return undefined
  if (!/^-?\d+$/.test(text)) throw badRequest(`${name} param must be an integer`)
  if (Number(text) < 0) throw badRequest(`${name} param must be positive`)
  return Number(text)
}

export const isSortedOldWay = (query: Query): boolean => 'sort_key' in query || 'sort_dir' in query

/** `sort=created_at:asc,id:asc`; the newest first without it. The id decides between equals. */
function order<T extends Row>(query: Query, column: (name: string) => Column<T> | undefined): Order<T> {
  if ('sort' in query && isSortedOldWay(query)) {
    throw badRequest("The 'sort_key' and 'sort_dir' parameters cannot be used with the 'sort' parameter.")
  }
  const { sort_key: key = 'created_at', sort_dir: direction = 'desc', sort = `${key}:${direction}` } = query
  const keys = sort.split(',').map(part => part.trim().split(':'))
  const [, first = 'desc'] = keys[0] ?? []
  const comparisons = [...keys, ['id', first]].map(([name = '', direction = 'desc']) => {
    const read = column(name)
    if (!read) throw invalidInput('Invalid sort key')
    if (direction !== 'asc' && direction !== 'desc') {
      throw invalidInput("Unknown sort direction, must be 'desc' or 'asc'.")
    }
    return { read, sign: direction === 'asc' ? 1 : -1 }
  })
  const compare = (left: T, right: T): number => {
    for (const { read, sign } of comparisons) {
      const [a, b] = [read(left), read(right)]
      if (a === b) continue
      // Null comes first, as in the database.
      return a === null || (b !== null && a < b) ? -sign : sign
    }
    return 0
  }
  return { compare, descending: first === 'desc' }
}
