import type { Snapshot, Snapshots } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import type { Fields } from './fields.ts'
import { inOrder, PAGE_SIZE } from './listing.ts'

export const snapshotsOf = (cinder: Cinder): Snapshots => ({
  async list(call) {
    const query = { limit: String(PAGE_SIZE), sort: 'id:asc' }
    const listing = { operation: 'snapshot_list', path: '/snapshots/detail', key: 'snapshots', query, read: toSnapshot }
    const snapshots: Snapshot[] = []
    for await (const page of inOrder(cinder, listing, ({ id }) => id, call)) snapshots.push(...page)
    return snapshots.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
  },

  async find(snapshotId, call) {
    const request = { operation: 'snapshot_show', path: `/snapshots/${encodeURIComponent(snapshotId)}` }
    return await cinder.find(request, call, body => inProject(body.object('snapshot'), cinder))
  }
})

/** An admin is shown other projects' snapshots too. */
function inProject(body: Fields, cinder: Cinder): Snapshot | undefined {
  const projectId = body.optionalId('os-extended-snapshot-attributes:project_id') ?? cinder.projectId
  return projectId === cinder.projectId ? toSnapshot(body) : undefined
}

function toSnapshot(body: Fields): Snapshot {
  return {
    id: body.text('id'),
    name: body.optionalText('name') ?? '',
    status: body.text('status'),
    sizeGib: body.number('size'),
    volumeId: body.text('volume_id'),
    createdAt: body.time('created_at')
  }
}
