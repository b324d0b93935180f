import assert from 'node:assert/strict'
import { changeVolume, createVolume, updateVolume } from '../../sandbox/volumes.ts'
import type { ClaimRequest } from '../../src/pool/claim.ts'
import { PoolError } from '../../src/pool/errors.ts'
import { claimUntilUsable, oneDisk, type Scenario, stepsOf } from './scenario.ts'
import type { Stage } from './stage.ts'
import type { Act } from './worker.ts'

/** Claims of which the stock has a spare. */
export const FROM_STOCK: readonly Scenario[] = [
  {
    name: 'a claim from stock',
    given: async stage => {
      await stage.fill()
      return { claim: stage.request() }
    },
    steps: stepsOf(`
      claims.open volumes.pages volumes.find volumes.update transfers.accept claims.settle
    `),
    afterwards: oneDisk(1)
  },
  {
    name: 'a claim from stock that trusts the table of claims',
    options: { config: { claims: { check_existing: 'claims' } } },
    given: async stage => {
      await stage.fill()
      return { claim: stage.request() }
    },
    steps: stepsOf(`
      claims.open volumes.find volumes.update transfers.accept claims.settle
    `),
    afterwards: oneDisk(1)
  },
  {
    name: 'a claim from stock that is not armed',
    options: { config: { claims: { prearm: false } } },
    given: async stage => {
      await stage.fill()
      return { claim: stage.request() }
    },
    steps: stepsOf(`
      claims.open volumes.pages volumes.find volumes.update transfers.create spares.noteTransfer transfers.accept
      claims.settle
    `),
    afterwards: oneDisk(1),
    whenRepeated: oneDisk(1)
  },
  {
    name: 'a claim of a larger disk',
    given: async stage => {
      await stage.fill()
      return { claim: stage.request({ sizeGib: 30 }) }
    },
    steps: stepsOf(`
      claims.open volumes.pages volumes.find volumes.quota volumes.types transfers.ofVolume transfers.delete
      spares.noteTransfer volumes.extend volumes.find volumes.update transfers.create spares.noteTransfer
      transfers.accept claims.settle
    `),
    afterwards: oneDisk(2), // One that has grown is not put back: it is retired, and the repeat starts afresh.
    whenRepeated: oneDisk(1)
  },
  {
    name: "a claim into the pool's own project",
    given: async stage => {
      await stage.fill()
      return { claim: stage.request({ projectId: stage.project('pool') }) }
    },
    steps: stepsOf(`
      claims.open volumes.pages volumes.find transfers.ofVolume transfers.delete spares.noteTransfer volumes.update
      claims.settle
    `),
    afterwards: oneDisk(1)
  },
  {
    name: 'a claim whose first spare turns out unfit',
    given: async stage => {
      await stage.fill()
      const first = stage.cloud.volumes.get(stage.stock()[0] ?? '')
      if (first) changeVolume(stage.cloud, stage.operator, first, { status: 'error' })
      return { claim: stage.request() }
    },
    steps: stepsOf(`
      claims.open volumes.pages volumes.find volumes.find volumes.update
      spares.retire spares.reserveOldest volumes.find volumes.update transfers.accept claims.settle
    `),
    afterwards: oneDisk(2)
  },
  {
    name: 'a claim of a disk that is there already',
    given: async stage => {
      await stage.fill()
      makeByHand(stage, stage.request())
      return { claim: stage.request() }
    },
    steps: stepsOf(`
      claims.open volumes.pages volumes.find volumes.update spares.ofClaim volumes.find volumes.update
      spares.putBack claims.originOf claims.settle
    `),
    afterwards: async (stage, act, stock) => {
      const { claim } = await claimUntilUsable(stage, act)
      assert.equal(claim.source, 'existing')
      assert.deepEqual(stage.stock(), stock)
    }
  },
  {
    name: 'a claim that the quota of its project refuses',
    given: async stage => {
      await stage.fill()
      stage.cloud.quotas.set(`${stage.project('tenant-a')} volumes`, 0)
      return { claim: stage.request() }
    },
    steps: stepsOf(`
      claims.open volumes.pages volumes.find volumes.update transfers.accept claims.find spares.ofClaim volumes.find
      volumes.update spares.putBack claims.forget claims.release
    `),
    afterwards: refused,
    whenRepeated: refused
  }
]

/** As it was the first time, and the stock is as it was. */
async function refused(stage: Stage, act: Act, stock: readonly string[]): Promise<void> {
  await assert.rejects(stage.perform(act), hasCode('quota_exceeded'))
  assert.deepEqual(stage.stock(), stock)
  await stage.mend()
}

const hasCode = (code: string) => (error: unknown) => error instanceof PoolError && error.code === code

/** By the tenant, who knows nothing of pools. */
function makeByHand({ cloud, operator }: Stage, { name, projectId }: ClaimRequest): void {
  const nothing = { description: null, type: null, snapshotId: null, sourceVolumeId: null, availabilityZone: null }
  const caller = { ...operator, projectId }
  const { id } = createVolume(cloud, caller, { ...nothing, name, sizeGib: 3, metadata: {} })
  updateVolume(cloud, caller, id, { bootable: true })
}
