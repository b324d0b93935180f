import type { Call, Route } from './cinder.ts'
import { isTrue } from './filters.ts'
import { isAdmin, type Transfer } from './model.ts'
import { type Column, isSortedOldWay, type Page, page, sliceOf } from './paging.ts'
import { invalidInput, noSuchPath } from './refusal.ts'
import { acceptBody, transferBody, transferBody355 } from './schemas.ts'
import { once } from './steps.ts'
import { acceptTransfer, createTransfer, deleteTransfer, findTransfer, listTransfers, unsorted } from './transfers.ts'
import { listView, transferSummary, transferView } from './views.ts'
import { textOrNull } from './volume-routes.ts'

/** Under the old name and the new one, which differ only in what they take and show by microversion. */
export function transferRoutes(route: Route): void {
  for (const path of [OLD_PATH, NEW_PATH]) {
    /** The new path is there since Rocky, and only at v3. */
    const at: Route = (method, below, operation, status, act) =>
      route(method, `/${path}${below}`, operation, status, call => {
        const isThere = path === OLD_PATH || (call.cloud.traits.hasNewTransferPath && call.version === 'v3')
        if (!isThere) throw noSuchPath()
        return act(call)
      })
    const list = (suffix: string, show: (call: Call, transfer: Transfer) => object): void =>
      at('GET', suffix, 'transfer_list', 200, call => {
        const found = call.cloud.traits.filtersTransfers ? sorted(call, path) : sliced(call)
        return listView(call, 'transfers', path + suffix, call.query, found, transfer => show(call, transfer))
      })
    list('', transferSummary)
    list('/detail', transferView)
    at('POST', '', 'transfer_create', 202, call => {
      const newer = call.minor >= 55 && path === NEW_PATH
      const { transfer: wish } = (newer ? transferBody355 : transferBody)(call)
      const noSnapshots = newer && 'no_snapshots' in wish && isTrue(String(wish.no_snapshots))
      const mayBeEncrypted = call.minor >= 70 && path === NEW_PATH
      const named = { volumeId: wish.volume_id, name: nameOf(wish.name), noSnapshots, mayBeEncrypted }
      return once(createTransfer(call.cloud, call.caller, named), transfer => ({
        transfer: { ...transferView(call, transfer, true), auth_key: transfer.authKey }
      }))
    })
    at('GET', '/:id', 'transfer_show', 200, call => ({
      transfer: transferView(call, findTransfer(call.cloud, call.caller, call.id))
    }))
    at('POST', '/:id/accept', 'transfer_accept', 202, call => {
      const { auth_key: key } = acceptBody(call).accept
      return once(acceptTransfer(call.cloud, call.caller, call.id, String(key)), transfer => ({
        transfer: transferSummary(call, transfer)
      }))
    })
    at('DELETE', '/:id', 'transfer_delete', 202, ({ cloud, caller, id }) => deleteTransfer(cloud, caller, id))
  }
}

const OLD_PATH = 'os-volume-transfer'
const NEW_PATH = 'volume-transfers'
const isPaged = (call: Call, path: string): boolean => call.minor >= 59 && path === NEW_PATH

function nameOf(given: string | null | undefined): string | null {
  const name = textOrNull(given)
  if (name === '') throw invalidInput('Transfer name has 0 characters, less than 1.')
  return name
}

/** The whole project's list, of which nothing but a slice can be asked for. There is a next link wherever it is that long. */
function sliced(call: Call): Page<Transfer> {
  const { cloud, caller, query } = call
  const { all_tenants: all } = query
  const whole = unsorted(cloud, listTransfers(cloud, caller, undefined, isTrue(all)))
  const { limit, offset } = sliceOf(query, cloud.listMax)
  const rows = whole.slice(offset, offset + (limit || cloud.listMax))
  return { rows, count: whole.length, full: limit <= whole.length }
}

/** Since lists know filters; since 3.59 they have pages. */
function sorted(call: Call, path: string): Page<Transfer> {
  const { cloud, caller } = call
  const asked = isPaged(call, path) ? call.query : {}
  const query = isSortedOldWay(asked) ? asked : { sort: 'created_at:asc', ...asked }
  const find = (id: string): Transfer => findTransfer(cloud, caller, id)
  const column = (name: string): Column<Transfer> | undefined => COLUMNS[name]
  return page(transfersFor(call, path), () => true, query, column, find, cloud.listMax)
}
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
  if (isTrue(all) && !isAdmin(call.caller) && call.cloud.traits.emptiesAllTenants) return []
  const transfers = listTransfers(call.cloud, call.caller, volumeId, isTrue(all))
  return transfers.filter(transfer => name === undefined || transfer.name === name)
}
