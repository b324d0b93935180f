import { type ByHand, type Crowds, type HandOver, lasts } from './by-hand.ts'
import { duration, lastOf, meanOf, medianOf, procession, ratio, spread, table } from './figures.ts'
import { gain, goalsOf, overhead, seen } from './goals.ts'
import type { Cell, Headline } from './headline.ts'
import type { Refill } from './refill.ts'
import type { Results } from './results.ts'

export function report(results: Results): string {
  const { machine, checkExisting, headline, refills } = results
  const { cores, processor, memoryGib, kernel, node, osdGib, load } = machine
  const parts = [
    `Machine: ${cores} cores (${processor}), ${Math.round(memoryGib)} GiB of memory, Linux ${kernel}, Node ${node}; one ` +
      `OSD of ${Math.round(osdGib)} GiB. Load before the run: ${load.toFixed(1)}. claims.check_existing: ${checkExisting}.\n`
  ]
  if (headline) parts.push(goalsTable(results), ...headlineTables(headline))
  if (refills) parts.push(`### Filling a pool\n\n${refillTable(refills)}`)
  return parts.join('\n')
}

function goalsTable(results: Results): string {
  const rows = goalsOf(results).map(({ goal, figure, isMet }) => [
    goal,
    figure ?? '-',
    figure === undefined ? 'not measured' : isMet ? 'met' : 'missed'
  ])
  return `### Goals\n\n${table(['goal', 'figure', ''], rows)}`
}

const conditions = ({ dataGib, flatten, slowMs }: Cell): string[] => [
  `${dataGib} GiB`,
  flatten ? 'on' : 'off',
  slowMs === 0 ? 'full speed' : `+${slowMs} ms`
]
const CONDITIONS = ['data', 'flatten', 'Ceph']

function headlineTables({ cells, alone, together }: Headline): string[] {
  const apart = cells.filter(({ atOnce }) => atOnce === 1)
  const crowds = cells.filter(({ atOnce }) => atOnce > 1)
  const count = crowds[0]?.atOnce ?? 0
  return [
    `### One at a time\n\n${table(
      [...CONDITIONS, 'claim', 'create', 'times faster'],
      apart.map(cell => [...conditions(cell), spread(seen(cell)), spread(cell.creates), ratio(gain(cell))])
    )}`,
    `### ${count} at once: first / median / last\n\n${table(
      [...CONDITIONS, 'claims', 'creates', 'times faster, the last'],
      crowds.map(cell => [...conditions(cell), procession(seen(cell)), procession(cell.creates), ratio(gain(cell))])
    )}`,
    `### A claim against its calls to Cinder, made by hand, alone\n\n${byHandTable(alone)}`,
    `### The same, ${together[0]?.crowds[0]?.length} at once\n\n${crowdTable(together)}`,
    `### Where a claim's time goes\n\n${callsTable(cells, { alone, together })}`
  ]
}

function byHandTable({ claims, byHand }: ByHand): string {
  const row = [spread(claims), spread(byHand.map(({ total }) => total)), ratio(overhead({ claims, byHand }))]
  return table(['claim', 'by hand', 'ratio'], [row])
}

/** When the last of a crowd was done, and whose CPU time one of it took. */
function crowdTable(all: readonly Crowds[]): string {
  const parts = Object.keys(all[0]?.cpu ?? {})
  const total = (cpu: Crowds['cpu']): number => Object.values(cpu).reduce((sum, ms) => sum + ms, 0)
  return table(
    ['', 'the last', 'CPU of each', ...parts],
    all.map(crowds => [
      crowds.way,
      spread(lasts(crowds)),
      ...[total(crowds.cpu), ...parts.map(part => crowds.cpu[part] ?? 0)].map(duration)
    ])
  )
}

type Calls = Readonly<Record<string, number>>

/** Means. The name is looked up, if it is, while the spare is renamed, so only the longer of the two counts. */
function callsRow(title: readonly string[], calls: Calls, answered: number, looking?: number): string[] {
  const { volume_list: list, volume_update: update = 0, transfer_accept: accept = 0 } = calls
  const rest = answered - Math.max(list ?? 0, update) - accept
  const cell = (ms: number | undefined): string => (ms === undefined ? '-' : duration(ms))
  return [...title, ...[list, update, accept, rest, looking].map(cell)]
}

function callsTable(cells: readonly Cell[], { alone, together }: Pick<Headline, 'alone' | 'together'>): string {
  const ofCell = (cell: Cell): string[] => {
    const answered = meanOf(cell.claims.map(claim => claim.answered))
    const title = [`claim, ${cell.atOnce === 1 ? 'alone' : `${cell.atOnce} at once`}`, ...conditions(cell)]
    return callsRow(title, cell.calls, answered, meanOf(seen(cell)) - answered)
  }
  const ofHand = (how: string, byHand: readonly HandOver[]): string[] => {
    const mean = (call: keyof HandOver): number => meanOf(byHand.map(one => one[call] ?? 0))
    const calls = {
      volume_list: mean('volume_list'),
      volume_update: mean('volume_update'),
      transfer_accept: mean('transfer_accept')
    }
    return callsRow([`by hand, ${how}`, '', '', ''], calls, mean('total'))
  }
  const crowd = together.find(({ way }) => way === 'by hand')?.crowds ?? []
  const ends = cells.filter(({ slowMs, dataGib }) => slowMs === 0 && dataGib === lastOf(cells.map(one => one.dataGib)))
  return table(
    ['', ...CONDITIONS, 'name looked up', 'renamed (meanwhile)', 'accepted', 'the rest', 'seen by the tenant'],
    [...ends.map(ofCell), ofHand('alone', alone.byHand), ofHand(`${crowd[0]?.length} at once`, crowd.flat())]
  )
}

function refillTable(refills: readonly Refill[]): string {
  const single = (slowMs: number): Refill | undefined =>
    refills.find(refill => refill.slowMs === slowMs && refill.snapshots === 1)
  return table(
    ['Ceph', 'snapshots', 'first in stock', 'half', 'full', 'times faster'],
    refills.map(({ slowMs, snapshots, times }) => {
      const one = single(slowMs)
      return [
        slowMs === 0 ? 'full speed' : `+${slowMs} ms`,
        String(snapshots),
        duration(Math.min(...times)),
        duration(medianOf(times)),
        duration(lastOf(times)),
        one && snapshots > 1 ? ratio(lastOf(one.times) / lastOf(times)) : ''
      ]
    })
  )
}
