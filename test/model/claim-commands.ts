import assert from 'node:assert/strict'
import { constantFrom, nat, record } from 'fast-check'
import { type Afterwards, at, command, POOLS, replica } from './command.ts'
import type { Model } from './model.ts'
import { type Real, toPool } from './real.ts'
import type { Request } from './state.ts'

export const claims = record({
  hostname: constantFrom('web-1', 'web-2', 'web-3'),
  project: constantFrom('tenant-a', 'tenant-b', 'pool'),
  pool: constantFrom(...POOLS, 'windows2022 ssd'),
  onEmpty: constantFrom('create' as const, 'fail' as const),
  gib: constantFrom(undefined, undefined, 30),
  key: constantFrom(undefined, undefined, 'key-1', 'key-2'),
  clients: constantFrom(1, 4),
  replica
}).map(({ hostname, clients, replica, ...rest }) => {
  const request = { name: `${hostname}_sys`, ...rest }
  return command({
    name: `claim ${inWords(request)}${atOnce(clients)}`,
    replica,
    run: (model, real) => claim(model, real, request, replica, clients)
  })
})

export const repeats = record({ pick: nat(9), clients: constantFrom(1, 4), replica }).map(
  ({ pick, clients, replica }) =>
    command({
      name: `repeat claim ${pick}${atOnce(clients)}`,
      replica,
      when: model => model.claims.length > 0,
      run: (model, real) => claim(model, real, at(model.claims, pick).request, replica, clients)
    })
)

const inWords = ({ name, project, pool, onEmpty, gib, key }: Request): string =>
  [`${name} for ${project} of ${pool}`, gib && `in ${gib} GiB`, key && `by ${key}`, onEmpty === 'fail' && 'or fail']
    .filter(Boolean)
    .join(' ')

const atOnce = (clients: number): string => (clients > 1 ? ` (${clients} at once)` : '')

/** Rivals go to both replicas; only where each is given the same, since after a failure the next one has another try. */
async function claim(
  model: Model,
  real: Real,
  request: Request,
  replica: number,
  clients: number
): Promise<Afterwards | undefined> {
  const { project, name, pool, onEmpty, gib, key } = request
  const isOnItsWay = model.claims.some(one => one.name === name && one.project === project && one.status === 'creating')
  const expected = model.claim(request)
  const rivals = 'code' in expected || isOnItsWay ? 1 : clients
  const hostname = name.replace('_sys', '')
  const body = {
    hostname,
    ...toPool(pool),
    on_empty: onEmpty,
    project_id: real.project(project),
    ...(gib && { size: gib })
  }
  const headers = key ? { 'idempotency-key': key } : {}
  const answers = await Promise.all(
    Array.from({ length: rivals }, (_, number) => real.replica((replica + number) % 2).claim(body, headers))
  )
  for (const { status, body } of answers) {
    assert.deepEqual([status < 300 ? status : body.code], ['code' in expected ? expected.code : expected.status])
  }
  if ('code' in expected) return undefined
  const volumeStatus = expected.claim.volume?.status
  return () => {
    const { id, volume, source, missReason = null } = expected.claim
    for (const { body } of answers) {
      const { claim_id, volume_id, status, size, miss_reason } = body
      assert.deepEqual(
        [claim_id, volume_id, status, size, body.source, miss_reason],
        [id, volume?.id, volumeStatus, volume?.gib, source, missReason]
      )
      const { os, type } = source === 'existing' ? { os: null, type: null } : toPool(pool) // A tenant's own.
      assert.deepEqual([body.os, body.type], [os, type])
    }
  }
}
