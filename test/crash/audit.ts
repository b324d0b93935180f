import assert from 'node:assert/strict'
import type { SeededCloud } from '../../sandbox/seed.ts'
import { type Database, query } from '../../src/store/connection/database.ts'
import { disksOf } from '../simulation/complaints.ts'
import type { Tables } from '../simulation/tables.ts'
import { TABLES } from '../support/tables.ts'

/** Rule 8: nobody else has a transaction open in this database, or holds a lock of any kind. */
export async function assertNothingHeld(db: Database): Promise<void> {
  const busy = await query(
    db,
    `select state, query, (select count(*) from pg_locks where pg_locks.pid = session.pid) as locks
       from pg_stat_activity session
      where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
        and (state <> 'idle' or exists (select from pg_locks where pg_locks.pid = session.pid))`
  )
  assert.deepEqual(busy, [], 'rule 8: held while the cloud was asked')
}

/**
 * Rule 3, after one reconcile: a volume that no row knows has at least been seen, or its spare waits for it; and no claim
 * is left as it broke off.
 */
export async function lostThings(
  db: Database,
  cloud: SeededCloud,
  poolProjectId: string,
  tables: Tables
): Promise<string[]> {
  const { spares, claims } = tables
  const seen = await query<{ volume_id: string }>(db, 'select volume_id from orphans')
  const known = new Set([...spares, ...claims, ...seen].map(({ volume_id }) => volume_id))
  const awaited = new Set(spares.filter(({ volume_id }) => volume_id === null).map(({ id }) => id))
  const tenants = [...cloud.projects.keys()].filter(id => id !== poolProjectId)
  return [
    ...claims.filter(({ status }) => status === 'open').map(({ name }) => `rule 3: claim ${name} is open`),
    ...disksOf(cloud, poolProjectId)
      .filter(({ id, metadata }) => !known.has(id) && !awaited.has(metadata['spare_id'] ?? ''))
      .map(({ id, name }) => `rule 3: nobody knows volume ${id} "${name}"`),
    ...tenants
      .flatMap(projectId => disksOf(cloud, projectId))
      .filter(disk => !claims.some(claim => claim.project_id === disk.projectId && claim.name === disk.name))
      .map(({ id, name }) => `rule 3: no claim knows volume ${id} "${name}"`)
  ]
}

/** All that the service remembers: as long as nothing is changed, it stays the same. */
export async function contentOf(db: Database): Promise<string> {
  const rows = (table: string) => `(select jsonb_agg(row order by row::text) from ${table} row) as ${table}`
  return JSON.stringify(await query(db, `select ${TABLES.map(rows).join(', ')}`))
}
