import type { Call, Snapshot, Snapshots } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import type { Fields } from './fields.ts'

export class CinderSnapshots implements Snapshots {
  readonly #cinder: Cinder

  constructor(cinder: Cinder) {
    this.#cinder = cinder
  }

  async list(call: Call): Promise<readonly Snapshot[]> {
    const query = { limit: '1000', sort: 'created_at:asc,id:asc' }
    const listing = { operation: 'snapshot_list', path: '/snapshots/detail', key: 'snapshots', query }
    const snapshots: Snapshot[] = []
    for await (const page of this.#cinder.pages(listing, call, toSnapshot)) snapshots.push(...page)
    return snapshots
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
