import type { ClaimLease } from '../pool/claim-store.ts'
import type { SealedTransfer, Spare } from '../pool/spare.ts'
import type { Finished, FinishedSpare } from '../pool/stores.ts'
import * as arming from './arming.ts'
import { type Database, transaction } from './connection/database.ts'
import * as spares from './spares.ts'
import { lockPoolsOf, serveWaiting } from './waiting.ts'

/**
 * Whatever brings spares into stock: each of these takes the place of the statement that it is named after, and in the same
 * transaction serves the claims that wait. Gives the spares as they are then.
 */
async function arrive<S extends Spare>(
  db: Database,
  ids: readonly string[],
  at: Date,
  bringIn: (tx: Database) => Promise<S[]>
): Promise<S[]> {
  return await transaction(db, async tx => {
    await lockPoolsOf(tx, ids)
    const changed = await bringIn(tx)
    const arrived = changed.filter(({ status }) => status === 'available').map(({ id }) => id)
    const taken = arrived.length > 0 ? await serveWaiting(tx, arrived, at) : []
    return changed.map(spare => ({ ...spare, ...taken.find(({ id }) => id === spare.id) }))
  })
}

export async function noteFinished(
  db: Database,
  finished: readonly Finished[],
  armingUntil: Date,
  at: Date
): Promise<FinishedSpare[]> {
  const ids = finished.map(({ id }) => id)
  return await arrive(db, ids, at, tx => spares.noteFinished(tx, finished, armingUntil, at))
}

export async function noteArmed(
  db: Database,
  id: string,
  transfer: SealedTransfer | undefined,
  at: Date,
  poolFailures?: number
): Promise<Spare | undefined> {
  const [spare] = await arrive(db, [id], at, async tx =>
    listOf(await arming.noteArmed(tx, id, transfer, at, poolFailures))
  )
  return spare
}

export async function putBack(db: Database, id: string, lease: ClaimLease, at: Date): Promise<Spare | undefined> {
  const [spare] = await arrive(db, [id], at, async tx => listOf(await spares.putBack(tx, id, lease, at)))
  return spare
}

const listOf = (spare: Spare | undefined): Spare[] => (spare ? [spare] : [])
