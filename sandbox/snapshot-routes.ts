import type { Call, Route } from './cinder.ts'
import { checkFilters, isTrue } from './filters.ts'
import { literal } from './literal.ts'
import { isAdmin, type Snapshot } from './model.ts'
import { type Column, page } from './paging.ts'
import { newSnapshotBody, snapshotBody } from './schemas.ts'
import { createSnapshot, deleteSnapshot, findSnapshot, updateSnapshot } from './snapshots.ts'
import { listView, snapshotDetail, snapshotView } from './views.ts'
import { textOrNull } from './volume-routes.ts'

export function snapshotRoutes(route: Route): void {
  const list = (path: string, show: (call: Call, snapshot: Snapshot) => object): void =>
    route('GET', `/${path}`, 'snapshot_list', 200, call => {
      checkFilters(call.cloud, call.query, FILTERS, call)
      const find = (id: string): Snapshot => findSnapshot(call.cloud, call.caller, id)
      const column = (name: string): Column<Snapshot> | undefined =>
        name === 'name' && call.minor < 30 ? undefined : COLUMNS[name]
      const fits = (snapshot: Snapshot): boolean => matches(call, snapshot)
      const found = page(call.cloud.snapshots.values(), fits, call.query, column, find, call.cloud.listMax)
      return listView(call, 'snapshots', path, call.query, found, snapshot => show(call, snapshot))
    })
  list('snapshots', snapshotView)
  list('snapshots/detail', snapshotDetail)
  route('POST', '/snapshots', 'snapshot_create', 202, call => {
    const { snapshot: wish } = newSnapshotBody(call)
    const snapshot = createSnapshot(call.cloud, call.caller, {
      volumeId: wish.volume_id,
      name: textOrNull(wish.name),
      description: textOrNull(wish.description),
      force: isTrue(String(wish.force)),
      metadata: { ...wish.metadata }
    })
    return { snapshot: snapshotView(call, snapshot, true) }
  })
  route('GET', '/snapshots/:id', 'snapshot_show', 200, call => ({
    snapshot: snapshotDetail(call, findSnapshot(call.cloud, call.caller, call.id))
  }))
  route('PUT', '/snapshots/:id', 'snapshot_update', 200, call => {
    const { name, description } = snapshotBody(call).snapshot
    const snapshot = updateSnapshot(call.cloud, call.caller, call.id, {
      ...(name === undefined ? {} : { name: textOrNull(name) }),
      ...(description === undefined ? {} : { description: textOrNull(description) })
    })
    return { snapshot: snapshotView(call, snapshot) }
  })
  route('DELETE', '/snapshots/:id', 'snapshot_delete', 202, ({ cloud, caller, id }) =>
    deleteSnapshot(cloud, caller, id)
  )
}

const COLUMNS: Record<string, Column<Snapshot>> = {
  id: snapshot => snapshot.id,
  created_at: snapshot => snapshot.createdAt,
  name: snapshot => snapshot.name,
  status: snapshot => snapshot.status,
  volume_id: snapshot => snapshot.volumeId
}

const FILTERS = ['name', 'status', 'volume_id', 'metadata', 'availability_zone', 'consumes_quota']

function matches({ caller, minor, query }: Call, snapshot: Snapshot): boolean {
  const { all_tenants: all } = query
  const everywhere = isAdmin(caller) && isTrue(all)
  if (!everywhere && snapshot.projectId !== caller.projectId) return false
  const { name, status, volume_id: volumeId, metadata } = query
  const wanted = metadata === undefined || minor < 22 ? {} : literal(metadata)
  return (
    (name === undefined || snapshot.name?.toLowerCase() === name.toLowerCase()) &&
    (status === undefined || snapshot.status === status) &&
    (volumeId === undefined || snapshot.volumeId === volumeId) &&
    typeof wanted === 'object' &&
    Object.entries(wanted ?? {}).every(([key, value]) => snapshot.metadata[key] === value)
  )
}
