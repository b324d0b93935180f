import assert from 'node:assert/strict'
import { changeVolume } from '../../sandbox/volumes.ts'
import { TICK_NAMES } from '../../src/operations/deps.ts'
import { storesOf } from '../../src/store/stores.ts'
import { complaintsOf } from './complaints.ts'
import type { Replica } from './replica.ts'
import { CREATE_SECONDS, POOLS, REPLICAS } from './setting.ts'
import type { World } from './world.ts'

/** The faults are over: what is left of them the service mends by itself, save for what only an administrator can. */
export async function recover(world: World): Promise<void> {
  world.cloud.faults.remove()
  world.startReplicas()
  for (const pool of POOLS) await storesOf(world.db).pools.setPaused(pool, false)
  // What was lost is known for lost only after a time, and counts until then; all else is mended within two lead times.
  const isWhole = (await mend(world, TWO_LEAD_TIMES, 2)) || (await mend(world, GIVEN_UP_SECONDS, 60))
  assert.ok(isWhole || (await mend(world, TWO_LEAD_TIMES, 2)), `not whole again: ${complaints(world).join('; ')}`)
}

/** Everything in stock that should be, on a cloud that takes no time for it. */
export async function fill(world: World): Promise<void> {
  const { delays } = world.cloud
  world.cloud.delays = { ...delays, creating: 0 }
  assert.ok(await mend(world, TWO_LEAD_TIMES, 2))
  world.cloud.delays = delays
}

/** Two volumes of one snapshot wait for each other, and so does what a claim needs before the stock. */
const TWO_LEAD_TIMES = 2 * 4 * CREATE_SECONDS
/** Creations are given up after ten minutes or three times the longest lead time, which the faults have made long. */
const GIVEN_UP_SECONDS = 2_400

/** Lets that much time pass, with all ticks every so often and all turns. True: everything is as it should be. */
async function mend(world: World, seconds: number, everySeconds: number): Promise<boolean> {
  const until = world.clock.now().getTime() + seconds * 1000
  for (let round = 0; world.clock.now().getTime() < until; round += 1) {
    for (const name of TICK_NAMES) world.tick(world.replicas[round % REPLICAS] as Replica, name)
    await allTurns(world)
    if (complaints(world).length === 0) return true
    repair(world)
    await pass(world, Math.min(everySeconds * 1000, until - world.clock.now().getTime()))
  }
  return false
}

async function allTurns(world: World): Promise<void> {
  while (!world.scheduler.isIdle) await world.step()
}

async function pass(world: World, ms: number): Promise<void> {
  const until = world.clock.now().getTime() + ms
  while (world.clock.now().getTime() < until) {
    world.clock.wakeNext(until - world.clock.now().getTime())
    await world.scheduler.settle()
    await world.look('cloud')
    await allTurns(world)
  }
}

/** After so long a tenant asks an administrator. */
const STUCK_SECONDS = 600

/** What only an administrator of the cloud may do: reset what Cinder believes to be making or deleting for ever. */
function repair(world: World): void {
  const { watch, cloud, admin } = world
  const retiring = new Set(watch.tables.spares.filter(({ status }) => status === 'retiring').map(one => one.volume_id))
  for (const volume of world.disks('pool')) {
    const isStuck = volume.status === 'creating' || volume.status === 'error_deleting'
    if (isStuck && retiring.has(volume.id)) changeVolume(cloud, admin, volume, { status: 'error' })
  }
  // In a tenant's own project the service gives nothing up: what is there is the tenant's.
  for (const volume of [...world.disks('tenant-a'), ...world.disks('tenant-b')]) {
    const seconds = (cloud.now() - volume.createdAt) / 1000
    const isStuck = volume.status === 'creating' && seconds > STUCK_SECONDS
    if (isStuck) changeVolume(cloud, admin, volume, { status: 'error' })
  }
}

function complaints(world: World): string[] {
  const { cloud, watch, foreign } = world
  const poolProjectId = world.project('pool')
  return complaintsOf({ cloud, tables: watch.tables, poolProjectId, targets: POOLS, armed: true, foreign })
}
