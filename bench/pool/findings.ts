/** What was found, and how it is shown. */
import { firstOf, lastOf, medianOf, table } from '../openstack/figures.ts'

export interface Figure {
  readonly name: string
  /** Absent: it is only shown. */
  readonly goal?: { readonly atLeast: number } | { readonly atMost: number }
  /** One of each round. */
  readonly values: readonly number[]
  readonly unit?: string
}

export interface Table {
  readonly title: string
  readonly titles: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Of one part. */
export interface Findings {
  readonly figures: readonly Figure[]
  readonly tables?: readonly Table[]
  /** Every single reading, for another program. */
  readonly readings: unknown
}

/** Five significant digits are more than any of it is worth; three are shown. */
export function shown(value: number): string {
  if (value === 0 || Number.isInteger(value)) return String(value)
  if (Math.abs(value) >= 100) return String(Math.round(value))
  return value.toFixed(Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 ? 2 : 4)
}

export const spread = (values: readonly number[]): string =>
  values.length === 1
    ? shown(medianOf(values))
    : `${shown(medianOf(values))} (${shown(firstOf(values))} to ${shown(lastOf(values))})`

/** Undefined: there is no goal. */
export function isMet({ goal, values }: Figure): boolean | undefined {
  if (!goal) return undefined
  return 'atLeast' in goal ? medianOf(values) >= goal.atLeast : medianOf(values) <= goal.atMost
}

/** The median of the rounds is held against the goal. In a quick run nothing is. */
export function figuresTable(figures: readonly Figure[], quick: boolean): string {
  const rows = figures.map(figure => {
    const { name, goal, values, unit = '' } = figure
    const wanted = goal ? ('atLeast' in goal ? `>= ${goal.atLeast}` : `<= ${goal.atMost}`) : ''
    const verdict = quick || !goal ? '' : isMet(figure) ? 'met' : 'MISSED'
    return [name, wanted && `${wanted} ${unit}`.trim(), `${spread(values)} ${unit}`.trim(), verdict]
  })
  return table(['figure', 'goal', 'median (range)', ''], rows)
}

export const tableOf = ({ title, titles, rows }: Table): string => `### ${title}\n\n${table(titles, rows)}`

/** The value below which that share of them is. */
export function quantileOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  if (value === undefined) throw new Error('nothing was measured')
  return value
}
