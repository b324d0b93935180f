import type { Listing } from '../pool/claim-store.ts'
import { type Database, query } from './connection/database.ts'

/** Sends a statement with a `returning` clause, and tells whether it changed a row. */
export const changesRow = async (db: Database, sql: string, bindings: object): Promise<boolean> =>
  (await query(db, sql, bindings)).length > 0

/** The statement reads `limit + 1` rows: the last one only tells that there is another page. */
export function pageOf<T extends { readonly id: string }>(rows: readonly T[], limit: number): Listing<T> {
  const page = rows.slice(0, limit)
  return { rows: page, nextMarker: rows.length > limit ? page.at(-1)?.id : undefined }
}
