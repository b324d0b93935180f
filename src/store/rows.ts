import type { Listing } from '../pool/claim-store.ts'
import { change, type Database } from './connection/database.ts'

export type Row = Readonly<Record<string, unknown>>

/** The column that each field of a thing is kept in. */
export type Columns<Thing> = { readonly [Field in keyof Thing]-?: string }

/** The fields that are times, by their names: in a row that came as JSON they are texts. */
const TIME = /(At|Since|Until)$/

/** What a row says of a thing; null is undefined. A loop, since a tick reads thousands of rows. */
export function fieldsOf<Thing>(columns: Columns<Thing>, row: Row): Thing {
  const fields: Record<string, unknown> = {}
  for (const field in columns) {
    const value = row[columns[field]] ?? undefined
    fields[field] = typeof value === 'string' && TIME.test(field) ? new Date(value) : value
  }
  return fields as Thing
}

/** The row that says so of a thing. */
export const rowOf = <Thing>(columns: Columns<Thing>, thing: Thing): Row =>
  Object.fromEntries(Object.entries<string>(columns).map(([field, column]) => [column, thing[field as keyof Thing]]))

/** SQL: adds a row, unless there is one like it. Its bindings are the fields. */
export function insertInto(table: string, columns: Columns<object>): string {
  const bindings = Object.keys(columns).map(field => `:${field}`)
  return `insert into ${table} (${Object.values(columns).join()}) values (${bindings.join()}) on conflict do nothing`
}

/** Whether a statement changed a row. */
export const changesRow = async (db: Database, sql: string, bindings: object): Promise<boolean> =>
  (await change(db, sql, bindings)) > 0

/** The statement reads `limit + 1` rows: the last one only tells that there is another page. */
export function pageOf<T extends { readonly id: string }>(rows: readonly T[], limit: number): Listing<T> {
  const page = rows.slice(0, limit)
  return { rows: page, nextMarker: rows.length > limit ? page.at(-1)?.id : undefined }
}
