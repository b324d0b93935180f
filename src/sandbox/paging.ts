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
type Compare<T> = (left: T, right: T) => number

/** Cinder's `osapi_max_limit`. */
const LIMIT_MAX = 1000

/** The page of some rows that a query's `sort`, `marker`, `limit` and `offset` ask for. */
export function page<T extends Row>(
  rows: readonly T[],
  query: Query,
  column: (name: string) => Column<T> | undefined,
  find: (marker: string) => T
): Page<T> {
  const limit = Math.min(wholeNumber('limit', query) ?? LIMIT_MAX, LIMIT_MAX)
  const offset = wholeNumber('offset', query) ?? 0
  const compare = order(query, column)
  const { marker } = query
  let after = rows
  if (marker !== undefined) {
    const last = find(marker)
    after = rows.filter(row => compare(row, last) > 0)
  }
  const shown = smallest(after, offset + limit, compare).slice(offset)
  return { rows: shown, count: rows.length, full: limit > 0 && shown.length === limit }
}

function wholeNumber(name: string, { [name]: text }: Query): number | undefined {
  if (text === undefined) return undefined
  if (!/^-?\d+$/.test(text)) throw badRequest(`${name} param must be an integer`)
  if (Number(text) < 0) throw badRequest(`${name} param must be positive`)
  return Number(text)
}

/** The first few in order, without sorting the rest: one pass, a small sort now and then. */
function smallest<T>(rows: readonly T[], count: number, compare: Compare<T>): T[] {
  let best: T[] = []
  let worst: T | undefined
  for (const row of rows) {
    if (worst !== undefined && compare(row, worst) >= 0) continue
    best.push(row)
    if (best.length < 2 * count + 64) continue
    best = best.toSorted(compare).slice(0, count)
    worst = best.at(-1)
  }
  return best.toSorted(compare).slice(0, count)
}

/** `sort=created_at:asc,id:asc`; the newest first without it. The id decides between equals. */
function order<T extends Row>(query: Query, column: (name: string) => Column<T> | undefined): Compare<T> {
  const { sort_key: key = 'created_at', sort_dir: direction = 'desc', sort = `${key}:${direction}` } = query
  const keys = sort.split(',').map(part => part.trim().split(':'))
  const [, firstDirection = 'desc'] = keys[0] ?? []
  const comparisons = [...keys, ['id', firstDirection]].map(([name = '', direction = 'desc']): Compare<T> => {
    const read = column(name)
    if (!read) throw invalidInput('Invalid sort key')
    if (direction !== 'asc' && direction !== 'desc') {
      throw invalidInput("Unknown sort direction, must be 'desc' or 'asc'.")
    }
    const sign = direction === 'asc' ? 1 : -1
    return (left, right) => sign * compareValues(read(left), read(right))
  })
  return (left, right) => {
    for (const compare of comparisons) {
      const difference = compare(left, right)
      if (difference !== 0) return difference
    }
    return 0
  }
}

/** Null comes first, as in the database. */
function compareValues(left: string | number | boolean | null, right: string | number | boolean | null): number {
  if (left === right) return 0
  if (left === null) return -1
  if (right === null) return 1
  return left < right ? -1 : 1
}
