/** How long a pool takes to fill, from one snapshot and from three identical ones, which the service uses in turn. */
import { snapshotOf } from '../../test/openstack/golden.ts'
import { duration } from './figures.ts'
import { TYPE, withService } from './service.ts'
import { clearVolumes, DEPLOYMENT, goldenDisk, requireSpace, type Stage, say, slowed, switchFlatten } from './stage.ts'

export interface RefillOptions {
  readonly slowMs: number
}

/** One pool filled; times in milliseconds. */
export interface Refill {
  readonly snapshots: number
  readonly slowMs: number
  readonly target: number
  /** When each volume was in stock, after the first was asked for. */
  readonly times: readonly number[]
}

const TARGET = 9
const REPLICAS = 3
const DATA_MIB = 600
const SNAPSHOT_NAME = '^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)(_(?<replica>[0-9]+))?$'
const ONE = `${DEPLOYMENT}one`
const THREE = `${DEPLOYMENT}three`

export async function measureRefill(stage: Stage, { slowMs }: RefillOptions): Promise<Refill[]> {
  await requireSpace(((TARGET + 2) * DATA_MIB) / 1024)
  const single = await goldenDisk(stage, `${ONE}_${TYPE}_1`, DATA_MIB)
  const first = await goldenDisk(stage, `${THREE}_${TYPE}_1_1`, DATA_MIB)
  for (let replica = 2; replica <= REPLICAS; replica += 1) {
    await snapshotOf(stage.pool, first.volume_id, `${THREE}_${TYPE}_1_${replica}`)
  }
  await switchFlatten(stage, true, single.id)
  const refills: Refill[] = []
  for (const ms of slowMs > 0 ? [0, slowMs] : [0]) {
    refills.push(await fill(stage, ONE, 1, ms))
    refills.push(await fill(stage, THREE, REPLICAS, ms))
  }
  return refills
}

async function fill(stage: Stage, os: string, snapshots: number, slowMs: number): Promise<Refill> {
  const source = snapshots === 1 ? 'one snapshot' : `${snapshots} identical snapshots`
  say(`filling a pool of ${TARGET} from ${source}, Ceph ${slowMs === 0 ? 'at full speed' : `slowed by ${slowMs} ms`}`)
  const options = { os, target: TARGET, creatingMaxPerSnapshot: 2, snapshotName: SNAPSHOT_NAME }
  const spares = await slowed(slowMs, () => withService(stage, options, service => service.filled()))
  const askedFor = Math.min(...spares.map(({ created_at }) => Date.parse(created_at)))
  const times = spares.map(({ available_at }) => Date.parse(available_at ?? '') - askedFor).toSorted((a, b) => a - b)
  say(`  full after ${duration(Math.max(...times))}`)
  await clearVolumes(stage)
  return { snapshots, slowMs, target: TARGET, times }
}
