import { newId, systemClock } from '../../src/clock.ts'
import { keyring } from '../../src/config/secret.ts'
import { type PoolName, samePool } from '../../src/pool/spare.ts'
import { query } from '../../src/store/connection/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import type { Lifetime } from '../lifetime.ts'
import type { Wish } from './cloud-process.ts'
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
        goneSnapshotIds: [],
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
  async stock(perPool: number): Promise<void> {
    if (perPool * this.pools.length >= 10_000) say(`${this.name}: making ${perPool * this.pools.length} spares`)
    for (const pool of this.pools) await this.#fill(pool, perPool)
    await query(this.database.db, 'vacuum (analyze) backup_volumes') // As autovacuum would have done meanwhile.
  }

  /** As many new ones as were claimed from each pool. */
  async restock(claimed: readonly PoolName[]): Promise<void> {
    for (const pool of this.pools) {
      const taken = claimed.filter(one => samePool(one, pool)).length
      if (taken > 0) await this.#fill(pool, taken)
    }
    await query(this.database.db, 'analyze backup_volumes')
  }

  /** Volumes that the cloud is making. */
  async startVolumes(pool: BenchPool, count: number): Promise<void> {
    const wish = this.#wish(pool, count)
    const volumes = await this.#stage.cloud.ask('startVolumes', wish)
    await this.#insert(
      pool,
      volumes.map((volume, number) => ({ id: wish.spareIds[number] ?? '', volume, transfer: null, key: null, number }))
    )
  }

  async #fill(pool: BenchPool, count: number): Promise<void> {
    for (let left = count; left > 0; left -= STOCKED_AT_ONCE) {
      const wish = this.#wish(pool, Math.min(left, STOCKED_AT_ONCE))
      const armed = await this.#stage.cloud.ask('makeSpares', wish)
      await this.#insert(
        pool,
        armed.map(({ volumeId: volume, transferId: transfer, authKey }, number) => ({
          id: wish.spareIds[number] ?? '',
          volume,
          transfer,
          key: this.#sealing.seal(authKey),
          number
        }))
      )
    }
  }

  #wish({ snapshotId }: BenchPool, count: number): Wish {
    return { deployment: this.name, snapshotId, spareIds: Array.from({ length: count }, newId) }
  }

  async #insert({ os, type, snapshotId }: BenchPool, rows: readonly NewRow[]): Promise<void> {
    await query(
      this.database.db,
      `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, volume_id, name, status,
                                   transfer_id, auth_key, created_at, updated_at, available_at)
       select id, :os, :type, :snapshotId, :version, :volumeType, :sizeGib, volume, 'spare-' || id,
              case when key is null then 'creating' else 'available' end,
              transfer, key, :at::timestamptz + number * interval '1 microsecond', :at,
              case when key is not null then :at::timestamptz end
         from jsonb_to_recordset(:rows::jsonb) as row (id uuid, volume text, transfer text, key text, number int)`,
      {
        os,
        type,
        snapshotId,
        rows: JSON.stringify(rows),
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

interface NewRow {
  readonly id: string
  readonly volume: string
  /** Null: the cloud has not finished it. */
  readonly transfer: string | null
  readonly key: string | null
  /** Its place in the line. */
  readonly number: number
}
