import type { ArmedTransfer, Call, Transfer, Transfers } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'

export class CinderTransfers implements Transfers {
  readonly #cinder: Cinder

  constructor(cinder: Cinder) {
    this.#cinder = cinder
  }

  async create(volumeId: string, name: string, call: Call): Promise<ArmedTransfer> {
    const body = { transfer: { volume_id: volumeId, name, no_snapshots: true } }
    const request = { operation: 'transfer_create', method: 'POST', path: '/volume-transfers', body } as const
    return await this.#cinder.ask(request, call, body => toArmedTransfer(body.object('transfer')))
  }

  async accept(transferId: string, authKey: string, call: Call): Promise<void> {
    const path = `${pathOf(transferId)}/accept`
    const body = { accept: { auth_key: authKey } }
    await this.#cinder.order({ operation: 'transfer_accept', method: 'POST', path, body, secrets: [authKey] }, call)
  }

  async delete(transferId: string, call: Call): Promise<void> {
    try {
      await this.#cinder.order({ operation: 'transfer_delete', method: 'DELETE', path: pathOf(transferId) }, call)
    } catch (error) {
      if (!isCloudError(error, 'not_found')) throw error
    }
  }

  async list(volumeId: string | undefined, call: Call): Promise<readonly Transfer[]> {
    // No limit: below microversion 3.59 it would make the list empty.
    const query = { volume_id: volumeId }
    const listing = { operation: 'transfer_list', path: '/volume-transfers/detail', key: 'transfers', query }
    const transfers: Transfer[] = []
    for await (const page of this.#cinder.pages(listing, call, toTransfer)) transfers.push(...page)
    return transfers.filter(transfer => volumeId === undefined || transfer.volumeId === volumeId)
  }
}

const pathOf = (transferId: string): string => `/volume-transfers/${encodeURIComponent(transferId)}`

function toTransfer(body: Fields): Transfer {
  return { id: body.text('id'), volumeId: body.text('volume_id'), name: body.optionalText('name') ?? '' }
}

function toArmedTransfer(body: Fields): ArmedTransfer {
  return { ...toTransfer(body), authKey: body.text('auth_key') }
}
