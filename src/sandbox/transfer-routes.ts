import type { Call, Route } from './cinder.ts'
import { isTrue } from './filters.ts'
import type { Transfer } from './model.ts'
import { type Column, page } from './paging.ts'
import { acceptBody, transferBody, transferBody355 } from './schemas.ts'
import { acceptTransfer, createTransfer, deleteTransfer, findTransfer, listTransfers } from './transfers.ts'
import { listView, transferSummary, transferView } from './views.ts'
import { textOrNull } from './volume-routes.ts'

/** Under the old name and the new one, which differ only in what they take and show by microversion. */
export function transferRoutes(route: Route): void {
  for (const path of ['os-volume-transfer', 'volume-transfers']) {
    const list = (suffix: string, show: (call: Call, transfer: Transfer) => object): void =>
      route('GET', `/${path}${suffix}`, 'transfer_list', 200, call => {
        const query = { sort: 'created_at:asc', ...(isPaged(call, path) ? call.query : {}) }
        const find = (id: string): Transfer => findTransfer(call.cloud, call.caller, id)
        const column = (name: string): Column<Transfer> | undefined => COLUMNS[name]
        const found = page(transfersFor(call, path), () => true, query, column, find, call.cloud.listMax)
        return listView(call, 'transfers', path + suffix, call.query, found, transfer => show(call, transfer))
      })
    list('', transferSummary)
    list('/detail', transferView)
    route('POST', `/${path}`, 'transfer_create', 202, call => {
      const newer = call.minor >= 55 && path === 'volume-transfers'
      const { transfer: wish } = (newer ? transferBody355 : transferBody)(call.body)
      const noSnapshots = 'no_snapshots' in wish && isTrue(String(wish.no_snapshots))
      const mayBeEncrypted = call.minor >= 70 && path === 'volume-transfers'
      const named = { volumeId: wish.volume_id, name: textOrNull(wish.name), noSnapshots, mayBeEncrypted }
      const transfer = createTransfer(call.cloud, call.caller, named)
      return { transfer: { ...transferView(call, transfer, true), auth_key: transfer.authKey } }
    })
    route('GET', `/${path}/:id`, 'transfer_show', 200, call => ({
      transfer: transferView(call, findTransfer(call.cloud, call.caller, call.id))
    }))
    route('POST', `/${path}/:id/accept`, 'transfer_accept', 202, call => {
      const { auth_key: key } = acceptBody(call.body).accept
      return { transfer: transferSummary(call, acceptTransfer(call.cloud, call.caller, call.id, String(key))) }
    })
    route('DELETE', `/${path}/:id`, 'transfer_delete', 202, ({ cloud, caller, id }) =>
      deleteTransfer(cloud, caller, id)
    )
  }
}

const isPaged = (call: Call, path: string): boolean => call.minor >= 59 && path === 'volume-transfers'
const COLUMNS: Record<string, Column<Transfer>> = {
  id: transfer => transfer.id,
  created_at: transfer => transfer.createdAt,
  name: transfer => transfer.name,
  volume_id: transfer => transfer.volumeId
}

/** Before 3.59 a query it does not know, paging included, finds nothing. */
function transfersFor(call: Call, path: string): Transfer[] {
  const known = ['volume_id', 'name', 'all_tenants']
  const paging = ['limit', 'marker', 'offset', 'sort', 'sort_key', 'sort_dir']
  const allowed = isPaged(call, path) ? [...known, ...paging] : known
  if (Object.keys(call.query).some(name => !allowed.includes(name))) return []
  const { volume_id: volumeId, name, all_tenants: all } = call.query
  const transfers = listTransfers(call.cloud, call.caller, volumeId, isTrue(all))
  return transfers.filter(transfer => name === undefined || transfer.name === name)
}
