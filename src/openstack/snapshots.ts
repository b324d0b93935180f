import type { Call, Snapshot, Snapshots } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import { inOrder, PAGE_SIZE } from './listing.ts'

export class CinderSnapshots implements Snapshots {
  readonly #cinder: Cinder

  constructor(cinder: Cinder) {
    this.#cinder = cinder
  }

  async list(call: Call): Promise<readonly Snapshot[]> {
    const query = { limit: String(PAGE_SIZE), sort: 'id:asc' }
    const listing = { operation: 'snapshot_list', path: '/snapshots/detail', key: 'snapshots', query, read: toSnapshot }
    const snapshots: Snapshot[] = []
    for await (const page of inOrder(this.#cinder, listing, ({ id }) => id, call)) snapshots.push(...page)
    return snapshots.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
  }

  async find(snapshotId: string, call: Call): Promise<Snapshot | undefined> {
    const path = `/snapshots/${encodeURIComponent(snapshotId)}`
    const request = { operation: 'snapshot_show', method: 'GET', path } as const
    try {
      return await this.#cinder.ask(request, call, body => this.#ours(body.object('snapshot')))
    } catch (error) {
      if (isCloudError(error, 'not_found')) return undefined
      throw error
    }
  }

  /** An admin is shown other projects' as well. */
  #ours(body: Fields): Snapshot | undefined {
    const projectId = body.optionalId('os-extended-snapshot-attributes:project_id')
    return projectId === undefined || projectId === this.#cinder.projectId ? toSnapshot(body) : undefined
  }
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
