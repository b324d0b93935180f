import assert from 'node:assert/strict'
import { query } from '../../src/store/connection/database.ts'
import { DEBIAN } from '../support/samples.ts'
import { oneDisk, type Scenario, stepsOf } from './scenario.ts'
import type { Stage } from './stage.ts'
import type { Act } from './worker.ts'

/** What takes volumes out of the stock, and what puts right whatever is wrong. */
export const UPKEEP: readonly Scenario[] = [
  {
    name: 'an operator who retires a spare',
    given: async stage => {
      await stage.fill()
      return { retire: stage.stock()[0] ?? '' }
    },
    steps: stepsOf(`
      spares.byVolume spares.retire
    `),
    afterwards: async (stage, act) => {
      const isThere = 'retire' in act && stage.stock().includes(act.retire)
      if (isThere) await stage.perform(act)
      await stage.mend()
      assert.ok('retire' in act && !stage.cloud.volumes.get(act.retire))
    }
  },
  {
    name: 'check_state, when a spare is retired',
    given: async stage => {
      await stage.fill()
      await stage.perform({ retire: stage.stock()[0] ?? '' })
      return { tick: 'check_state' }
    },
    steps: stepsOf(`
      spares.onTheirWay spares.nextRetired volumes.find claims.knowsVolume transfers.delete
      volumes.delete
    `)
  },
  {
    name: 'a sync that purges all',
    given: async stage => {
      await stage.fill()
      return { sync: { purge: 'all', dryRun: false, allowEmpty: false } }
    },
    steps: stepsOf(`
      ticks.take snapshots.list volumes.find volumes.find volumes.find images.list images.replace
      ticks.finish
    `),
    afterwards: async (stage, act, stock) => {
      stage.pass(300) // The dead one's lease.
      await stage.perform(act)
      await stage.mend()
      for (const volumeId of stock) assert.equal(stage.cloud.volumes.get(volumeId), undefined)
    }
  },
  {
    name: 'reconcile, with something of everything to mend',
    options: {
      config: { pools: [{ ...DEBIAN, target: 6 }], limits: { creating_max: 8, creating_max_per_snapshot: 8 } }
    },
    given: muchToMend,
    steps: stepsOf(`
      claims.toSettle claims.resume claims.resume claims.resume claims.resume claims.resume claims.resume
      spares.ofClaim spares.ofClaim spares.ofClaim images.find volumes.find volumes.find transfers.ofVolume
      claims.noteCreating transfers.delete volumes.find volumes.find volumes.update claims.settle spares.noteFinished
      transfers.create claims.release volumes.find spares.noteTransfer claims.find volumes.update transfers.create
      spares.putBack spares.noteTransfer claims.forget claims.release transfers.accept claims.find
      claims.settle claims.find volumes.pages spares.ofVolumes spares.unlisted volumes.find spares.byVolume
      spares.drop claims.knowsVolume spares.byVolume orphans.known spares.stock spares.adopt transfers.pages
      spares.ofVolumes spares.unlisted orphans.note spares.retireStale snapshots.list volumes.find volumes.find
      volumes.find images.list images.setGone pools.noteNewer spares.nextRetired volumes.find spares.drop
      history.record spares.stock history.noteLevels claims.prune history.prune history.forgetRefusals history.thin
    `),
    afterwards: async (stage, _act, stock) => {
      await oneDisk(3)(stage, { claim: stage.request({ hostname: 'web-01' }) }, stock)
      await oneDisk(3)(stage, { claim: stage.request({ hostname: 'web-02' }) }, stock)
      await oneDisk(3)(stage, { claim: stage.request({ ...MADE, projectId: stage.project('tenant-b') }) }, stock)
    }
  }
]

const MADE = { hostname: 'web-03', type: 'sas' }

/**
 * A spare that no row knows, which an earlier reconcile has seen; one whose volume is gone; one that is retired; and three
 * claims whose processes died: before anything was done in the cloud, when the disk had moved, and while it was being made.
 */
async function muchToMend(stage: Stage): Promise<Act> {
  await stage.fill()
  const [orphan = '', gone = '', retired = ''] = stage.stock().toReversed()
  await forgetRow(stage, orphan)
  await stage.perform({ retire: retired })
  await stage.tick('reconcile')
  lose(stage, gone)
  await stage.leaveAfter('claims.open', { claim: stage.request({ hostname: 'web-01' }) })
  await stage.leaveAfter('transfers.accept', { claim: stage.request({ hostname: 'web-02' }) })
  const made = stage.request({ ...MADE, projectId: stage.project('tenant-b') })
  await stage.leaveAfter('spares.noteVolume', { claim: made })
  stage.pass(11)
  return { tick: 'reconcile' }
}

/** As a database does that was restored from a backup. */
async function forgetRow({ home }: Stage, volumeId: string): Promise<void> {
  await query(home.db, 'delete from backup_volumes where volume_id = :volumeId', { volumeId })
}

/** By a fault of the storage: Cinder itself knows it no more. */
function lose({ cloud }: Stage, volumeId: string): void {
  for (const transfer of cloud.transfers.ofVolume(volumeId)) cloud.transfers.remove(transfer)
  const volume = cloud.volumes.get(volumeId)
  if (volume) cloud.volumes.remove(volume)
}
