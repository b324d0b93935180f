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
  clients: constantFrom(1, 4),
  replica
}).map(({ hostname, clients, replica, ...rest }) => {
  const request = { name: `${hostname}_sys`, ...rest }
  const how = `${request.onEmpty === 'fail' ? ' or fail' : ''}${clients > 1 ? ` (${clients} at once)` : ''}`
  return command({
    name: `claim ${request.name} for ${request.project} of ${request.pool}${how}`,
    replica,
    run: (model, real) => claim(model, real, request, replica, clients)
  })
})

export const repeats = record({ pick: nat(9), clients: constantFrom(1, 4), replica }).map(
  ({ pick, clients, replica }) =>
    command({
      name: `repeat claim ${pick}${clients > 1 ? ` (${clients} at once)` : ''}`,
      replica,
      when: model => model.claims.length > 0,
      run: (model, real) => {
        const { project, name, pool } = at(model.claims, pick)
        return claim(model, real, { project, name, pool, onEmpty: 'create' }, replica, clients)
      }
    })
)

/** Rivals go to both replicas; only where each is given the same, since after a failure the next one has another try. */
async function claim(
  model: Model,
  real: Real,
  { project, name, pool, onEmpty }: Request,
  replica: number,
  clients: number
): Promise<Afterwards | undefined> {
  const isOnItsWay = model.claims.some(one => one.name === name && one.project === project && one.status === 'creating')
  const expected = model.claim({ project, name, pool, onEmpty })
  const rivals = 'code' in expected || isOnItsWay ? 1 : clients
  const hostname = name.replace('_sys', '')
  const body = { hostname, ...toPool(pool), on_empty: onEmpty, project_id: real.project(project) }
  const answers = await Promise.all(
    Array.from({ length: rivals }, (_, number) => real.replica((replica + number) % 2).claim(body))
  )
  for (const { status, body } of answers) {
    assert.deepEqual([status < 300 ? status : body.code], ['code' in expected ? expected.code : expected.status])
  }
  if ('code' in expected) return undefined
  const volumeStatus = expected.claim.volume?.status
  return () => {
    const { id, volume, source, missReason = null } = expected.claim
    for (const { body } of answers) {
      const { claim_id, volume_id, status, miss_reason } = body
      assert.deepEqual(
        [claim_id, volume_id, status, body.source, miss_reason],
        [id, volume?.id, volumeStatus, source, missReason]
      )
    }
  }
}
