import assert from 'node:assert/strict'
import type { Traits } from '../../sandbox/releases.ts'
import type { ClaimResult } from '../../src/pool/claim.ts'
import type { Stage, StageOptions } from './stage.ts'
import type { Act } from './worker.ts'

/** Something that the service does, to be killed at each of its steps. */
export interface Scenario {
  readonly name: string
  readonly options?: StageOptions
  /** Releases of Cinder on which it does not come to this; absent: on all it does. */
  readonly notOn?: (traits: Traits) => boolean
  /** Sets the stage, and gives what is to be done on it. */
  readonly given: (stage: Stage) => Promise<Act>
  /** All its calls to the database and to the cloud, in their order. */
  readonly steps: readonly string[]
  /** What else must hold once all is mended, besides what always holds. */
  readonly afterwards?: Check
  /** Of a claim: what must hold where its repeat comes before reconcile. */
  readonly whenRepeated?: Check
}

/** `stock` is what there was before. */
type Check = (stage: Stage, act: Act, stock: readonly string[]) => Promise<void>

/** As they are in a list of words; what comes again is numbered, as it is when the steps are taken. */
export function stepsOf(list: string): string[] {
  const counts = new Map<string, number>()
  return list
    .trim()
    .split(/\s+/)
    .map(name => {
      const count = (counts.get(name) ?? 0) + 1
      counts.set(name, count)
      return count === 1 ? name : `${name} (${count})`
    })
}

/** Rule 1: a repeat is given the disk that is there already, if one is, and no more than so many spares are used in all. */
export function oneDisk(sparesMax: number): Check {
  return async (stage, act, stock) => {
    assert.ok('claim' in act)
    const seen = stage.disksFor(act.claim)
    const { claim } = await claimUntilUsable(stage, act)
    await stage.mend()
    await claimUntilUsable(stage, act)
    const disks = stage.disksFor(act.claim)
    assert.deepEqual(disks, [claim.disk?.volumeId], 'rule 1: one disk')
    if (seen.length > 0) assert.deepEqual(disks, seen, 'rule 1: the same disk')
    const used = stock.filter(volumeId => !stage.stock().includes(volumeId))
    assert.ok(used.length <= sparesMax, `${used.length} spares were used`)
  }
}

const TRIES = 60

/** As a caller does who is told to come again. */
export async function claimUntilUsable(stage: Stage, act: Act): Promise<ClaimResult> {
  assert.ok('claim' in act)
  for (let tries = 1; ; tries += 1) {
    const result = await stage.claim(act.claim)
    if (result?.usable) {
      stage.watch.answered(result.claim)
      return result
    }
    assert.ok(tries < TRIES, 'the disk does not come')
    stage.pass(5)
    await stage.tick('check_state')
  }
}
