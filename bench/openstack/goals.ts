/** What was promised, and what came of it. */

import { firstOf, lastOf, medianOf, ratio } from './figures.ts'
import type { Cell } from './headline.ts'
import type { Results } from './results.ts'

export interface Goal {
  readonly goal: string
  /** Undefined: it was not measured. */
  readonly figure: string | undefined
  readonly isMet: boolean
}

/** Until the tenant sees its disk. */
export const seen = ({ claims }: Pick<Cell, 'claims'>): number[] => claims.map(({ available }) => available)

/** How many times faster a claim is than a create: by the medians, or by the last of those at once. */
export function gain(cell: Cell): number {
  const of = cell.atOnce === 1 ? medianOf : lastOf
  return of(cell.creates) / of(seen(cell))
}

/** Claims do not depend on the data; what they differ by is chance, and must not be more than that. */
const FLAT = 1.5

export function goalsOf({ headline }: Results): Goal[] {
  if (!headline) return []
  const { cells, alone } = headline
  const atFullSpeed = cells.filter(({ slowMs }) => slowMs === 0)
  const of = (flatten: boolean, isAlone: boolean): Cell[] =>
    atFullSpeed.filter(cell => cell.flatten === flatten && (cell.atOnce === 1) === isAlone)
  const largest = (atOnce: number): Cell | undefined =>
    of(true, atOnce === 1).find(cell => cell.dataGib === 4 && cell.atOnce === atOnce)
  const medians = of(true, true).map(cell => medianOf(seen(cell)))
  const unflattened = of(false, true).map(gain)
  return [
    atLeast('Flatten on, 4 GiB, Ceph at full speed: a claim at least 100 times faster', 100, largest(1)),
    {
      goal: `… and flat as disks grow: the slowest median at most ${FLAT} times the fastest`,
      figure: medians.length > 1 ? ratio(lastOf(medians) / firstOf(medians)) : undefined,
      isMet: medians.length > 1 && lastOf(medians) <= FLAT * firstOf(medians)
    },
    atLeast('Eight at once, 4 GiB: the last claim at least 200 times faster', 200, largest(8)),
    {
      goal: 'Flatten off: at least twice as fast, whatever the size',
      figure: unflattened.length > 0 ? ratio(firstOf(unflattened)) : undefined,
      isMet: firstOf(unflattened) >= 2
    },
    {
      goal: 'A claim takes at most 1.25 times what its calls take by hand',
      figure: ratio(overhead(alone)),
      isMet: overhead(alone) <= 1.25
    }
  ]
}

function atLeast(goal: string, times: number, cell: Cell | undefined): Goal {
  return { goal, figure: cell && ratio(gain(cell)), isMet: cell !== undefined && gain(cell) >= times }
}

export const overhead = ({ claims, byHand }: { claims: readonly number[]; byHand: readonly { total: number }[] }) =>
  medianOf(claims) / medianOf(byHand.map(({ total }) => total))
