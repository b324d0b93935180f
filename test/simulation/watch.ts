import assert from 'node:assert/strict'
import type { JournalEntry } from '../../sandbox/journal.ts'
import type { Volume } from '../../sandbox/model.ts'
import type { SeededCloud } from '../../sandbox/seed.ts'
import type { Claim } from '../../src/pool/claim.ts'
import { type Database, query } from '../../src/store/connection/database.ts'
import type { Where } from './scheduler.ts'
import type { ClaimRow, ImageRow, SpareRow, Tables } from './tables.ts'

export interface Watched {
  readonly cloud: SeededCloud
  readonly db: Database
  readonly deployment: string
  readonly poolProjectId: string
  /** Users whose tokens the service acts with. */
  readonly userIds: ReadonlySet<string>
  readonly creatingMax: number
  readonly budgetGib: number
  readonly targets: readonly { readonly os: string; readonly type: string; readonly target: number }[]
}

/**
 * Holds every step of the service against what always holds (../../docs/guarantees.md), by the tables and by the cloud's own
 * journal. The numbers are those of the rules there.
 */
export class Watch {
  readonly #it: Watched
  #sequence = 0
  #before: Tables = { spares: [], claims: [], images: [] }
  /** Volumes that were retired once, whatever became of their rows. */
  readonly #retired = new Set<string>()
  /** Volumes that the service has moved out of the pool's project: which name they had then, and by which request. */
  readonly #moved = new Map<string, { projectId: string; name: string; requestId: string }>()
  /** Volumes that callers were told are theirs, by the claim's project and name. */
  readonly #answered = new Map<string, string>()

  constructor(it: Watched) {
    this.#it = it
  }

  get tables(): Tables {
    return this.#before
  }

  /** A caller was told that this disk is its own: it must be the one that it was told before, if that is still there. */
  answered({ projectId, name, disk }: Claim): void {
    const key = `${projectId} ${name}`
    const before = this.#answered.get(key)
    if (before !== undefined && this.#it.cloud.volumes.get(before))
      assert.equal(disk?.volumeId, before, `rule 1: ${name}`)
    if (disk) this.#answered.set(key, disk.volumeId)
  }

  /** After each step; unless that was a change to the tables, they are as they were. */
  async look(where: Where = 'store'): Promise<void> {
    const after = where === 'store' ? await readTables(this.#it.db) : this.#before
    for (const entry of this.#it.cloud.journal.after(this.#sequence)) {
      this.#sequence = entry.sequence
      if (this.#it.userIds.has(entry.user_id)) this.#checkChange(entry, after)
    }
    this.#checkOneEach()
    this.#checkSpares(after)
    this.#checkSettled(after)
    this.#before = after
  }

  #checkChange(entry: JournalEntry, after: Tables): void {
    const id = entry.volume_id ?? ''
    const { change, to } = entry
    const moved = this.#moved.get(id)
    if (this.#isAnswered(id)) assert.fail(`rule 2: ${change} of ${id} after its claim was answered`)
    if (moved && moved.requestId !== entry.request_id) assert.fail(`rule 2: ${change} of ${id} in its project`)
    const volume = this.#it.cloud.volumes.get(id)
    if (change === 'volume.moved' && volume) {
      const claimId = after.spares.find(({ volume_id }) => volume_id === id)?.claim_id
      const name = after.claims.find(claim => claim.id === claimId)?.name ?? volume.name ?? ''
      assert.equal(volume.name, name, `rule 1: ${id} was moved before it was renamed`)
      this.#moved.set(id, { projectId: volume.projectId, name, requestId: entry.request_id })
    }
    if (change === 'volume.status' && to === 'deleting') this.#checkDeletion(id, volume, after)
  }

  #isAnswered(volumeId: string): boolean {
    return [...this.#answered.values()].includes(volumeId)
  }

  /** Rule 4. */
  #checkDeletion(id: string, volume: Volume | undefined, { claims, spares }: Tables): void {
    assert.ok(volume, `rule 4: ${id} is deleted and is not there`)
    const { metadata, projectId, attachments, name } = volume
    const isOurs =
      metadata['spare_pool'] === this.#it.deployment &&
      name === `spare-${metadata['spare_id']}` &&
      projectId === this.#it.poolProjectId &&
      attachments.length === 0
    assert.ok(isOurs, `rule 4: ${id} "${name}" was deleted, which is not ours`)
    assert.ok(!claims.some(claim => claim.volume_id === id), `rule 4: ${id} was deleted, which a claim knows`)
    const spare = spares.find(one => one.volume_id === id)
    assert.ok(
      spare?.status === 'retiring',
      `rule 4: ${id} was deleted while its spare was ${spare?.status ?? 'nowhere'}`
    )
  }

  /** Rule 1: by the cloud, where no unique index helps. */
  #checkOneEach(): void {
    const owners = new Set<string>()
    for (const [id, { projectId, name }] of this.#moved) {
      if (!this.#it.cloud.volumes.get(id)) continue
      const owner = `${projectId} ${name}`
      assert.ok(!owners.has(owner), `rule 1: two volumes were moved for ${owner}`)
      owners.add(owner)
    }
  }

  /** Rules 5 and 6, by what has changed since the last step. */
  #checkSpares(after: Tables): void {
    const before = new Map(this.#before.spares.map(spare => [spare.id, spare]))
    for (const spare of after.spares) {
      const was = before.get(spare.id)?.status
      if (spare.status === 'retiring' && spare.volume_id) this.#retired.add(spare.volume_id)
      const isBack = spare.status === 'available' && this.#retired.has(spare.volume_id ?? '')
      assert.ok(!isBack, `rule 6: volume ${spare.volume_id} was retired and is in stock again`)
      if (was === 'retiring') assert.equal(spare.status, 'retiring', `rule 6: ${spare.id} is ${spare.status} again`)
      if (was !== undefined && was !== 'reserved' && spare.status === 'reserved') checkCurrent(spare, after.images)
      if (was !== 'available' && spare.status === 'available') checkNobodyWaits(spare, after)
    }
    const isNew = ({ id, status }: SpareRow): boolean => status === 'requested' && !before.has(id)
    if (after.spares.some(isNew)) this.#checkCreation(after, isNew)
  }

  /** Rule 5. */
  #checkCreation({ spares, images }: Tables, isNew: (spare: SpareRow) => boolean): void {
    const { creatingMax, budgetGib, targets } = this.#it
    const making = spares.filter(({ available_at, status }) => available_at === null && status !== 'retiring').length
    assert.ok(making <= creatingMax, `rule 5: ${making} are being made, of ${creatingMax}`)
    const gib = spares.reduce((sum, { size }) => sum + size, 0)
    assert.ok(gib <= budgetGib, `rule 5: ${gib} GiB of ${budgetGib}`)
    for (const { os, type, target } of targets) {
      const ours = spares.filter(spare => spare.os === os && spare.type === type)
      if (!ours.some(isNew)) continue
      const stock = ours.filter(
        spare =>
          ['requested', 'creating'].includes(spare.status) || (spare.status === 'available' && isServed(spare, images))
      )
      assert.ok(stock.length <= target, `rule 5: ${stock.length} of ${os} on ${type}, of ${target}`)
    }
  }

  /** Rule 6: what a claim was given from the pool had not been retired before. */
  #checkSettled({ claims }: Tables): void {
    const settledBefore = new Set(this.#before.claims.filter(isSettled).map(({ id }) => id))
    for (const claim of claims.filter(isSettled)) {
      if (settledBefore.has(claim.id) || claim.source === 'existing') continue
      assert.ok(!this.#retired.has(claim.volume_id ?? ''), `rule 6: claim ${claim.name} was given a retired spare`)
    }
  }
}

const isSettled = ({ status }: ClaimRow): boolean => status === 'available'

const isServed = ({ os, type, snapshot_id, kept }: SpareRow, images: readonly ImageRow[]): boolean =>
  kept ||
  images.some(
    image =>
      image.name === os &&
      image.type === type &&
      [image.snapshot_id, ...image.replica_snapshot_ids].includes(snapshot_id)
  )

function checkCurrent(spare: SpareRow, images: readonly ImageRow[]): void {
  assert.ok(isServed(spare, images), `rule 6: spare ${spare.id} of a snapshot that is no longer current was taken`)
}

/** Who waits longest is served first: a spare comes into stock only where no claim has one like it being made. */
function checkNobodyWaits(spare: SpareRow, { spares, images }: Tables): void {
  if (!isServed(spare, images)) return
  const { os, type, size } = spare
  const isAlike = (one: SpareRow): boolean => one.os === os && one.type === type && one.size === size
  const waiting = spares.find(
    one => one.claim_id && !one.available_at && isAlike(one) && isServed({ ...one, kept: false }, images)
  )
  assert.ok(!waiting, `spare ${spare.id} came into stock, and claim ${waiting?.claim_id} waits for one`)
}

export async function readTables(db: Database): Promise<Tables> {
  const [row] = await query<{ spares: SpareRow[]; claims: ClaimRow[]; images: ImageRow[] }>(
    db,
    `select (select coalesce(jsonb_agg(backup_volumes order by created_at, id), '[]') from backup_volumes) as spares,
            (select coalesce(jsonb_agg(claims order by created_at, id), '[]') from claims) as claims,
            (select coalesce(jsonb_agg(os order by name, type), '[]') from os) as images`
  )
  assert.ok(row)
  return row
}
