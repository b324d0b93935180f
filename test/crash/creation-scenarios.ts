import assert from 'node:assert/strict'
import { disksOf } from '../simulation/complaints.ts'
import { oneDisk, type Scenario, stepsOf } from './scenario.ts'
import type { Stage } from './stage.ts'
import type { Act } from './worker.ts'

/** What makes disks, for claims and for the stock. */
export const CREATIONS: readonly Scenario[] = [
  {
    name: 'a claim that finds no spare',
    given: noStock,
    steps: stepsOf(`
      claims.open volumes.pages images.find spares.hasStale volumes.quota volumes.types claims.beginCreating
      spares.requestFor volumes.create spares.noteVolume claims.noteCreating claims.release
    `),
    afterwards: oneDisk(0),
    whenRepeated: oneDisk(0)
  },
  {
    name: 'a claim again, when its disk has been made',
    given: madeDisk,
    steps: stepsOf(`
      claims.open claims.living claims.resume spares.ofClaim images.find volumes.find spares.noteFinished
      volumes.find volumes.update transfers.create spares.noteTransfer transfers.accept claims.settle
    `),
    afterwards: oneDisk(0)
  },
  {
    name: 'check_state, when the disk of a claim has been made',
    given: async stage => {
      await madeDisk(stage)
      return { tick: 'check_state' }
    },
    steps: stepsOf(`
      spares.onTheirWay volumes.pages spares.noteFinished claims.resume spares.ofClaim images.find volumes.find
      volumes.find volumes.update transfers.create spares.noteTransfer transfers.accept claims.settle claims.find
    `),
    afterwards: async (stage, _act, stock) => await oneDisk(0)(stage, { claim: stage.request() }, stock)
  },
  {
    name: 'check_state, when a spare comes into stock that a claim waits for',
    notOn: ({ flattenBlocks }) => flattenBlocks, // The accept waits there for as long as the other two are made.
    given: async stage => {
      const act = await noStock(stage)
      await stage.tick('replenish')
      await stage.perform(act)
      stage.pass(5) // The first of three is finished.
      return { tick: 'check_state' }
    },
    steps: stepsOf(`
      spares.onTheirWay volumes.pages spares.noteFinished transfers.create spares.noteArmed claims.resume spares.ofClaim
      images.find volumes.find volumes.find volumes.update transfers.accept claims.settle claims.find
    `),
    afterwards: async (stage, _act, stock) => await oneDisk(0)(stage, { claim: stage.request() }, stock),
    whenRepeated: async (stage, _act, stock) => await oneDisk(0)(stage, { claim: stage.request() }, stock)
  },
  {
    name: 'a claim again, when its disk has failed and a spare is in stock',
    given: async stage => {
      const act = await noStock(stage)
      await stage.perform(act)
      for (const volume of disksOf(stage.cloud, stage.project('pool'))) stage.cloud.volumes.remove(volume)
      await assert.rejects(stage.perform(act), /another is made/)
      stage.pass(30)
      await stage.tick('replenish')
      stage.pass(30)
      await stage.tick('check_state')
      return act
    },
    steps: stepsOf(`
      claims.open claims.living claims.resume spares.ofClaim images.find volumes.pages volumes.quota volumes.types
      claims.beginCreating spares.requestFor claims.release claims.open claims.living claims.resume spares.ofClaim
      images.find volumes.find volumes.find volumes.update transfers.accept claims.settle
    `),
    afterwards: oneDisk(1),
    whenRepeated: oneDisk(1)
  },
  {
    name: 'a claim whose disk is made in its project itself',
    options: { user: 'admin' },
    given: noStock,
    steps: stepsOf(`
      claims.open volumes.pages images.find spares.hasStale claims.beginCreating volumes.create claims.noteCreating
      claims.release
    `),
    afterwards: oneDisk(0)
  },
  {
    name: 'replenish',
    given: async () => ({ tick: 'replenish' }),
    steps: stepsOf(`
      spares.stock snapshots.list volumes.find volumes.find volumes.find images.add
      images.replaceGone spares.stock history.noteLevels volumes.quota spares.request volumes.create volumes.create spares.noteVolume spares.noteVolume
    `)
  },
  {
    name: 'check_state, when volumes have been made',
    given: async stage => {
      await stage.leaveAfter('spares.noteVolume', { tick: 'replenish' })
      stage.pass(30)
      return { tick: 'check_state' }
    },
    steps: stepsOf(`
      spares.onTheirWay volumes.pages spares.noteVolume spares.noteFinished transfers.create
      transfers.create spares.noteArmed spares.noteArmed
    `)
  }
]

async function noStock(stage: Stage): Promise<Act> {
  await stage.perform({ sync: { purge: 'none', dryRun: false, allowEmpty: false } })
  return { claim: stage.request() }
}

async function madeDisk(stage: Stage): Promise<Act> {
  const act = await noStock(stage)
  await stage.perform(act)
  stage.pass(5)
  return act
}
