/** PostgreSQL itself fails at what a test names, as it does when its disk is full or its others are in the way. */
import { type Database, openDatabase, query, runScript, transaction } from '../../src/store/connection/database.ts'
import { Gate } from './gate.ts'

export interface DatabaseFault {
  /** Such as `update on claims`. */
  readonly change: string
  /** Of the row, as a trigger knows it. */
  readonly when?: string
  /** An SQLSTATE, or the connection is cut. */
  readonly how: string
  /** How often at most; absent: until all is mended. */
  readonly times?: number
}

let count = 0

/** Lets a change of a row fail. What it counts is kept whatever is rolled back. */
export async function failAt(
  db: Database,
  { change, when = 'true', how, times = 1_000_000 }: DatabaseFault
): Promise<void> {
  count += 1
  const name = `fault_${count}`
  const fail = how === 'cut' ? 'perform pg_terminate_backend(pg_backend_pid())' : `raise sqlstate '${how}'`
  await runScript(
    db,
    `create sequence ${name};
     create function ${name}() returns trigger language plpgsql as $$
       begin
         if nextval('${name}') <= ${times} then ${fail}; end if;
         return coalesce(new, old);
       end $$;
     create trigger ${name} before ${change} for each row when (${when}) execute function ${name}()`
  )
}

/** How often each fault has struck, in the order in which they were set; then there are none any more. */
export async function mendAll(db: Database): Promise<number[]> {
  const names = await query<{ name: string }>(
    db,
    "select proname as name from pg_proc where proname like 'fault\\_%' order by substr(proname, 7)::int"
  )
  const struck: number[] = []
  for (const { name } of names) {
    const [row] = await query<{ strikes: number }>(
      db,
      `select case when is_called then last_value else 0 end as strikes from ${name}`
    )
    struck.push(row?.strikes ?? 0)
    await runScript(db, `drop function ${name} cascade; drop sequence ${name}`)
  }
  return struck
}

/** A transaction of another that keeps tables to itself: nobody reads or writes a row of them until it is ended. */
export async function lockTables(url: string, tables: string): Promise<{ db: Database; unlock: () => Promise<void> }> {
  const db = openDatabase({ url, idleInTransactionTimeoutSeconds: 60 })
  const [locked, over] = [new Gate(), new Gate()]
  const holding = transaction(db, async tx => {
    await runScript(tx, `lock table ${tables} in access exclusive mode`)
    locked.open()
    await over.passed
  })
  await Promise.race([locked.passed, holding])
  const unlock = async (): Promise<void> => {
    over.open()
    await holding
    await db.destroy()
  }
  return { db, unlock }
}
