import assert from 'node:assert/strict'
import { eventually } from '../support/eventually.ts'
import type { Body, Session } from '../support/session.ts'
import { ctl } from './cloud.ts'

/** A disk as an operator would have installed it: written to, bootable, and with a snapshot. */
export interface GoldenDisk {
  /** The snapshot's. */
  readonly name: string
  readonly type: 'ceph-ssd' | 'ceph-sas'
  readonly sizeGib: number
  /** How much of it is written, which is what a flatten has to copy. */
  readonly dataMib: number
}

/** The snapshot of a golden disk, made where there is none yet. The pool's own user makes it. */
export async function goldenSnapshot(pool: Session, disk: GoldenDisk): Promise<Body> {
  const existing = await named(pool, 'snapshots', disk.name)
  return existing ?? (await snapshotOf(pool, (await goldenVolume(pool, disk)).id, disk.name))
}

/** One more snapshot of a disk: identical ones let Cinder make volumes side by side. */
export async function snapshotOf(pool: Session, volumeId: string, name: string): Promise<Body> {
  const wish = { volume_id: volumeId, name, description: 'system disk' }
  const made = await pool.call('POST', '/snapshots', { snapshot: wish })
  assert.equal(made.status, 202, made.text)
  return await settled(pool, 'snapshot', made.body.snapshot.id)
}

async function goldenVolume(pool: Session, { name, type, sizeGib, dataMib }: GoldenDisk): Promise<Body> {
  const { id } =
    (await named(pool, 'volumes', `golden-${name}`)) ??
    (await pool.create({ name: `golden-${name}`, size: sizeGib, volume_type: type }))
  const volume = await settled(pool, 'volume', id)
  await pool.action(id, 'os-set_bootable', { bootable: true })
  await write(type, id, dataMib)
  return volume
}

/** From the front, in whole objects of Ceph's, so that each of them is there to be copied. */
async function write(type: GoldenDisk['type'], volumeId: string, dataMib: number): Promise<void> {
  const image = `volumes-${type.replace('ceph-', '')}/volume-${volumeId}`
  const pattern = ['--io-type', 'write', '--io-pattern', 'seq', '--io-size', '4M', '--io-threads', '4']
  await ctl('rbd', 'bench', ...pattern, '--io-total', `${dataMib}M`, image)
}

/** Undefined where there is none. */
async function named(pool: Session, kind: 'volumes' | 'snapshots', name: string): Promise<Body> {
  const found = await pool.get(`/${kind}/detail?name=${name}`)
  return found[kind].find((one: Body) => one.name === name)
}

/** Waits until it is available; one that failed will not be. */
export async function settled(pool: Session, kind: 'volume' | 'snapshot', id: string): Promise<Body> {
  return await eventually(`${kind} ${id} becomes available`, async () => {
    const one = (await pool.get(`/${kind}s/${id}`))[kind]
    assert.doesNotMatch(one.status, /^error/)
    return one.status === 'available' && one
  })
}
