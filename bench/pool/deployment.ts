import { newId, systemClock } from '../../src/clock.ts'
import type { PoolName } from '../../src/pool/spare.ts'
import { keyring } from '../../src/secret.ts'
import { query } from '../../src/store/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import type { Lifetime } from '../lifetime.ts'
import { type BenchDatabase, type Stage, say } from './stage.ts'

export interface BenchPool extends PoolName {
  readonly snapshotId: string
}

const TYPE = 'ssd'
const VOLUME_TYPE = 'ceph-ssd'
const VERSION = '20261101'
const SIZE_GIB = 20
/** In one message to the cloud, and in one statement. */
const STOCKED_AT_ONCE = 5_000

/** The database of a service, or of the floor, with its pools and their images; and what puts spares into it. */
export class Deployment {
  readonly name: string
  readonly pools: readonly BenchPool[]
  readonly database: BenchDatabase
  readonly #stage: Stage
  readonly #sealing: Sealing

  private constructor(
    stage: Stage,
    { name, pools, database, sealing }: Pick<Deployment, 'name' | 'pools' | 'database'> & { sealing: Sealing }
  ) {
    this.name = name
    this.pools = pools
    this.database = database
    this.#stage = stage
    this.#sealing = sealing
  }

  /** Of so many pools, each with an image and a golden snapshot of its own. */
  static async open(
    t: Lifetime,
    stage: Stage,
    name: string,
    pools: number,
    sealing: Sealing = keyring(stage.secret)
  ): Promise<Deployment> {
    const database = await stage.openNew(t, name)
    const names = Array.from({ length: pools }, (_, index) => ({ os: `${name}-${index + 1}`, type: TYPE }))
    const golden = await stage.cloud.ask(
      'addSnapshots',
      names.map(({ os, type }) => `${os}_${type}_${VERSION}`)
    )
    const images = names.map((pool, index) => ({ ...pool, snapshotId: '', volumeId: '', ...golden[index] }))
    const at = systemClock.now()
    await storesOf(database.db).images.add(
      images.map(image => ({
        ...image,
        id: newId(),
        replicaSnapshotIds: [],
        volumeType: VOLUME_TYPE,
        sizeGib: SIZE_GIB,
        version: VERSION,
        createdAt: at,
        updatedAt: at
      }))
    )
    return new Deployment(stage, { name, pools: images, database, sealing })
  }

  /** So many spares more in each pool, the oldest first: made beside the service, which would take minutes. */
  async stock(perPool: number, pools = this.pools): Promise<void> {
    if (perPool * pools.length >= 10_000) say(`${this.name}: making ${perPool * pools.length} spares`)
    for (const pool of pools) {
      for (let left = perPool; left > 0; left -= STOCKED_AT_ONCE) {
        const ids = Array.from({ length: Math.min(left, STOCKED_AT_ONCE) }, newId)
        await this.#insert(await this.#make(pool, ids))
      }
    }
    await query(this.database.db, 'analyze backup_volumes') // As autovacuum would have done when they were made one by one.
  }

  async #make(pool: BenchPool, spareIds: readonly string[]): Promise<Made[]> {
    const volumes = await this.#stage.cloud.ask('makeSpares', {
      deployment: this.name,
      snapshotId: pool.snapshotId,
      spareIds
    })
    return volumes.map(({ volumeId, transferId, authKey }, index) => ({
      id: spareIds[index] ?? '',
      os: pool.os,
      type: pool.type,
      snapshot: pool.snapshotId,
      volume: volumeId,
      transfer: transferId,
      key: this.#sealing.seal(authKey),
      number: index
    }))
  }

  async #insert(made: readonly Made[]): Promise<void> {
    await query(
      this.database.db,
      `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, volume_id, name, status,
                                   transfer_id, auth_key, created_at, updated_at, available_at)
       select id, os, type, snapshot, :version, :volumeType, :sizeGib, volume, 'spare-' || id, 'available',
              transfer, key, :at::timestamptz + number * interval '1 microsecond', :at, :at
         from jsonb_to_recordset(:rows::jsonb)
           as row (id uuid, os text, type text, snapshot text, volume text, transfer text, key text, number int)`,
      {
        rows: JSON.stringify(made),
        version: VERSION,
        volumeType: VOLUME_TYPE,
        sizeGib: SIZE_GIB,
        at: systemClock.now()
      }
    )
  }
}

/** How transfer keys are kept. */
export interface Sealing {
  seal(key: string): string
}

interface Made extends PoolName {
  readonly id: string
  readonly snapshot: string
  readonly volume: string
  readonly transfer: string
  readonly key: string
  readonly number: number
}
