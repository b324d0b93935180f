import type { ArmedTransfer, Call, Transfer, Transfers } from '../pool/ports.ts'
import type { Cinder, CinderRequest } from './cinder.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import { requireInProject } from './volumes.ts'

export class CinderTransfers implements Transfers {
  readonly #cinder: Cinder

  constructor(cinder: Cinder) {
    this.#cinder = cinder
  }

  async create(volumeId: string, name: string, call: Call): Promise<ArmedTransfer> {
    await requireInProject(this.#cinder, volumeId, call)
    const body = { transfer: { volume_id: volumeId, name, no_snapshots: true } }
    const request = { operation: 'transfer_create', method: 'POST', path: '/volume-transfers', body } as const
    return await this.#cinder.ask(request, call, body => toArmedTransfer(body.object('transfer')))
  }

  async accept(transferId: string, authKey: string, call: Call): Promise<void> {
    const path = `${pathOf(transferId)}/accept`
    const body = { accept: { auth_key: authKey } }
    await this.#cinder.order({ operation: 'transfer_accept', method: 'POST', path, body, secrets: [authKey] }, call)
  }

  async delete(transferId: string, call: Call): Promise<boolean> {
    try {
      await this.#cinder.order({ operation: 'transfer_delete', method: 'DELETE', path: pathOf(transferId) }, call)
      return true
    } catch (error) {
      if (!isCloudError(error, 'not_found')) throw error
      return false
    }
  }

  async find(transferId: string, call: Call): Promise<Transfer | undefined> {
    const request = { operation: 'transfer_show', method: 'GET', path: pathOf(transferId) } as const
    try {
      return await this.#cinder.ask(request, call, body => toTransfer(body.object('transfer')))
    } catch (error) {
      if (isCloudError(error, 'not_found')) return undefined
      throw error
    }
  }

  async ofVolume(volumeId: string, call: Call): Promise<readonly Transfer[]> {
    return (await this.#ask({ volume_id: volumeId }, call)).filter(transfer => transfer.volumeId === volumeId)
  }

  async *pages(call: Call): AsyncGenerator<readonly Transfer[]> {
    if ((await this.#cinder.minor(call)) < PAGING_MINOR) {
      yield (await this.#ask({}, call)).toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))
      return
    }
    const query = { limit: '1000', sort: 'volume_id:asc,id:asc' }
    yield* this.#cinder.pages({ ...LISTING, key: 'transfers', query, read: toTransfer, orderOf }, call)
  }

  async #ask(query: NonNullable<CinderRequest['query']>, call: Call): Promise<Transfer[]> {
    const request = { ...LISTING, method: 'GET', query } as const
    return await this.#cinder.ask(request, call, body => body.list('transfers').map(toTransfer))
  }
}

const LISTING = { operation: 'transfer_list', path: '/volume-transfers/detail' }
/** Below that microversion, a list that is to be limited or sorted is empty. */
const PAGING_MINOR = 59

const orderOf = ({ volumeId, id }: Transfer): string => `${volumeId} ${id}`

const pathOf = (transferId: string): string => `/volume-transfers/${encodeURIComponent(transferId)}`

function toTransfer(body: Fields): Transfer {
  return { id: body.text('id'), volumeId: body.text('volume_id'), name: body.optionalText('name') ?? '' }
}

function toArmedTransfer(body: Fields): ArmedTransfer {
  return { ...toTransfer(body), authKey: body.text('auth_key') }
}
