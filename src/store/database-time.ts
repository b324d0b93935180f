import { type Database, query } from './connection/database.ts'

/** What the database's clock says in this instant; the clocks of all replicas are set by it. */
export async function databaseTime(db: Database): Promise<Date> {
  const [row] = await query<{ now: Date }>(db, 'select clock_timestamp() as now')
  if (!row) throw new Error('the database did not tell its time')
  return row.now
}
