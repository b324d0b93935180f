import type { ArmedTransfer, Call, Transfer, Transfers } from '../pool/ports.ts'
import { transferPaging } from '../pool/release.ts'
import type { Cinder, Query } from './cinder.ts'
import type { Endpoint } from './endpoint.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import { byOffset, cutInPages, inOrder, type Listing, PAGE_SIZE } from './listing.ts'
import { requireInProject } from './volumes.ts'
import { type NextRun, orAborted } from './waiting.ts'

/** From that microversion on there is a path of its own for transfers that may leave snapshots behind. */
const NO_SNAPSHOTS_MINOR = 55

export class CinderTransfers implements Transfers {
  readonly #cinder: Cinder
  readonly #wholeLists: NextRun<Transfer[]>

  /** Whole lists are read for all at once who ask with tokens of the same user. */
  constructor(cinder: Cinder, wholeLists: NextRun<Transfer[]>) {
    this.#cinder = cinder
    this.#wholeLists = wholeLists
  }

  /** Where a release knows no `no_snapshots`, they stay behind in any case. */
  async create(volumeId: string, name: string, call: Call): Promise<ArmedTransfer> {
    await requireInProject(this.#cinder, volumeId, call)
    const request = (endpoint: Endpoint) => {
      const leave = endpoint.minor < NO_SNAPSHOTS_MINOR ? {} : { no_snapshots: true }
      const body = { transfer: { volume_id: volumeId, name, ...leave } }
      return { operation: 'transfer_create', method: 'POST', path: pathAt(endpoint), body } as const
    }
    return await this.#cinder.ask(request, call, body => toArmedTransfer(body.object('transfer')))
  }

  async accept(transferId: string, authKey: string, call: Call): Promise<void> {
    const body = { accept: { auth_key: authKey } }
    const request = (endpoint: Endpoint) => {
      const path = `${pathAt(endpoint, transferId)}/accept`
      return { operation: 'transfer_accept', method: 'POST', path, body, secrets: [authKey] } as const
    }
    await this.#cinder.order(request, call)
  }

  async delete(transferId: string, call: Call): Promise<boolean> {
    const request = (endpoint: Endpoint) =>
      ({ operation: 'transfer_delete', method: 'DELETE', path: pathAt(endpoint, transferId) }) as const
    try {
      await this.#cinder.order(request, call)
      return true
    } catch (error) {
      if (!isCloudError(error, 'not_found')) throw error
      return false
    }
  }

  async find(transferId: string, call: Call): Promise<Transfer | undefined> {
    const request = (endpoint: Endpoint) =>
      ({ operation: 'transfer_show', method: 'GET', path: pathAt(endpoint, transferId) }) as const
    try {
      return await this.#cinder.ask(request, call, body => toTransfer(body.object('transfer')))
    } catch (error) {
      if (isCloudError(error, 'not_found')) return undefined
      throw error
    }
  }

  async ofVolume(volumeId: string, call: Call): Promise<readonly Transfer[]> {
    const endpoint = await this.#cinder.endpoint(call)
    const transfers = isUnfiltered(endpoint)
      ? await this.#wholeList(endpoint, call)
      : await byOffset(this.#cinder, listingAt(endpoint, { volume_id: volumeId }), call)
    return transfers.filter(transfer => transfer.volumeId === volumeId)
  }

  async *pages(call: Call): AsyncGenerator<readonly Transfer[]> {
    const endpoint = await this.#cinder.endpoint(call)
    if (transferPaging(endpoint, endpoint.minor) !== 'in_order') {
      yield* cutInPages(await byOffset(this.#cinder, listingAt(endpoint), call), orderOf)
      return
    }
    const query = { limit: String(PAGE_SIZE), sort: 'volume_id:asc,id:asc' }
    yield* inOrder(this.#cinder, listingAt(endpoint, query), orderOf, call)
  }

  /** Under the signal of no one caller: the others wait for it as well. */
  #wholeList(endpoint: Endpoint, { requestId, priority = 'claim', ...call }: Call): Promise<Transfer[]> {
    const key = `${this.#cinder.projectId} ${priority}`
    const read = () => byOffset(this.#cinder, listingAt(endpoint), { requestId, priority })
    return this.#cinder.within({ requestId, priority, ...call }, limited =>
      orAborted(this.#wholeLists.join(key, read), limited.signal)
    )
  }
}

/** One that speaks /v2 only may be of either kind, and is taken for the one that costs less. */
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

function toArmedTransfer(body: Fields): ArmedTransfer {
  return { ...toTransfer(body), authKey: body.text('auth_key') }
}
