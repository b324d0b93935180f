import type { Outcome } from './chaos.ts'

/** What happened and what came of it, in one line. */
export function counts(outcome: Outcome): string {
  const { findings, told, wishes, requests, kills, failedStarts, restarts, strikes, inStock, target, seconds } = outcome
  const struck = [...strikes.values()].reduce((sum, count) => sum + count, 0)
  const [asked, mended] = seconds.map(Math.round)
  return [
    `claims ${wishes} (${shown(outcome.sources)})`,
    `requests ${requests}`,
    `answers ${shown(told.answers)}`,
    `kills ${kills}`,
    `starts that failed ${failedStarts}`,
    `restarts of PostgreSQL ${restarts}`,
    `faults ${struck} (${shown(strikes)})`,
    `disks given twice ${findings.givenTwice.length}`,
    `claims with two disks ${findings.withTwoDisks.length}`,
    `repeats answered otherwise ${findings.withTwoRecords.length}`,
    `claims without a disk ${findings.withoutDisk.length}`,
    `volumes lost ${findings.lost.length}`,
    `foreign volumes touched ${findings.foreignTouched.length}`,
    `disks changed after their claim ${findings.changedAfterwards.length}`,
    `stock ${inStock} of ${target}`,
    `${asked} s, whole again after ${mended} s`
  ].join(' · ')
}

const shown = (all: ReadonlyMap<string, number>): string =>
  [...all]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name}: ${count}`)
    .join(', ')

const SHOWN_MAX = 5

/** Everything that is not as promised, the first few of each kind. */
export function faultsOf({ findings, told, crashes, exitCodes }: Outcome): string[] {
  const few = (what: string, found: readonly string[]): string[] => [
    ...found.slice(0, SHOWN_MAX).map(one => `${what}: ${one}`),
    ...(found.length > SHOWN_MAX ? [`${what}: ${found.length - SHOWN_MAX} more`] : [])
  ]
  return [
    ...Object.entries(findings).flatMap(([what, found]) => few(what, found)),
    ...few('unexpected answer', told.unexpected),
    ...few('a service ended by itself', crashes),
    ...exitCodes.filter(code => code !== 0).map(code => `a service that was told to stop ended with ${String(code)}`)
  ]
}
