import type { Call, Transfer, Transfers } from '../pool/ports.ts'
import { transferPaging } from '../pool/release.ts'
import type { Cinder, Query } from './cinder.ts'
import type { Endpoint } from './endpoint.ts'
import { undefinedAfter } from './failures.ts'
import type { Fields } from './fields.ts'
import { byOffset, cutInPages, inOrder, type Listing, PAGE_SIZE } from './listing.ts'
import { requireInProject } from './volumes.ts'
import { type NextRun, orAborted } from './waiting.ts'

/** From this microversion on, transfers have a path of their own and may leave snapshots behind. */
const NO_SNAPSHOTS_MINOR = 55

/** Callers who ask with tokens of the same user at the same time share one reading of a whole list. */
export const transfersOf = (cinder: Cinder, wholeLists: NextRun<Transfer[]>): Transfers => ({
  /** Releases that do not know `no_snapshots` leave them behind in any case. */
  async create(volumeId, name, call) {
    await requireInProject(cinder, volumeId, call)
    const request = (endpoint: Endpoint) => {
      const leave = endpoint.minor < NO_SNAPSHOTS_MINOR ? {} : { no_snapshots: true }
      const body = { transfer: { volume_id: volumeId, name, ...leave } }
      return { operation: 'transfer_create', method: 'POST', path: pathAt(endpoint), body } as const
    }
    return await cinder.ask(request, call, body => {
      const transfer = body.object('transfer')
      return { ...toTransfer(transfer), authKey: transfer.text('auth_key') }
    })
  },

  async accept(transferId, authKey, call) {
    const body = { accept: { auth_key: authKey } }
    const request = (endpoint: Endpoint) => {
      const path = `${pathAt(endpoint, transferId)}/accept`
      return { operation: 'transfer_accept', method: 'POST', path, body, secrets: [authKey] } as const
    }
    await cinder.order(request, call)
  },

  async delete(transferId, call) {
    const request = (endpoint: Endpoint) =>
      ({ operation: 'transfer_delete', method: 'DELETE', path: pathAt(endpoint, transferId) }) as const
    const wasThere = await cinder.order(request, call).then(() => true, undefinedAfter('not_found'))
    return wasThere ?? false
  },

  async find(transferId, call) {
    const request = (endpoint: Endpoint) => ({ operation: 'transfer_show', path: pathAt(endpoint, transferId) })
    return await cinder.find(request, call, body => toTransfer(body.object('transfer')))
  },

  async ofVolume(volumeId, call) {
    const endpoint = await cinder.endpoint(call)
    const transfers = isUnfiltered(endpoint)
      ? await wholeList(cinder, wholeLists, endpoint, call)
      : await byOffset(cinder, listingAt(endpoint, { volume_id: volumeId }), call)
    return transfers.filter(transfer => transfer.volumeId === volumeId)
  },

  async *pages(call) {
    const endpoint = await cinder.endpoint(call)
    if (transferPaging(endpoint, endpoint.minor) !== 'in_order') {
      yield* cutInPages(await byOffset(cinder, listingAt(endpoint), call), orderOf)
      return
    }
    const query = { limit: String(PAGE_SIZE), sort: 'volume_id:asc,id:asc' }
    yield* inOrder(cinder, listingAt(endpoint, query), orderOf, call)
  }
})

/** Without the signal of the caller who begins it: the others wait for it too. */
function wholeList(
  cinder: Cinder,
  wholeLists: NextRun<Transfer[]>,
  endpoint: Endpoint,
  { requestId, priority = 'claim', ...call }: Call
): Promise<Transfer[]> {
  const key = `${cinder.projectId} ${priority}`
  const read = () => byOffset(cinder, listingAt(endpoint), { requestId, priority })
  return cinder.http.within({ requestId, priority, ...call }, ({ signal }) =>
    orAborted(wholeLists.join(key, read), signal)
  )
}

/** A Cinder that speaks only /v2 may be of either kind. It is taken for the one that costs less. */
const isUnfiltered = (endpoint: Endpoint): boolean =>
  endpoint.version === 'v3' && transferPaging(endpoint, endpoint.minor) === 'by_offset'

function listingAt(endpoint: Endpoint, query: Query = {}): Listing<Transfer> {
  const path = `${pathAt(endpoint)}/detail`
  return { operation: 'transfer_list', path, key: 'transfers', query, read: toTransfer }
}

function pathAt({ minor }: Endpoint, transferId?: string): string {
  const path = minor < NO_SNAPSHOTS_MINOR ? '/os-volume-transfer' : '/volume-transfers'
  return transferId === undefined ? path : `${path}/${encodeURIComponent(transferId)}`
}

const orderOf = ({ volumeId, id }: Transfer): string => `${volumeId} ${id}`

function toTransfer(body: Fields): Transfer {
  return { id: body.text('id'), volumeId: body.text('volume_id'), name: body.optionalText('name') ?? '' }
}
