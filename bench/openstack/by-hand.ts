/** What a claim's calls to Cinder take by themselves: the same ones, in the same order, without the service. */
import assert from 'node:assert/strict'
import type { Body } from '../../test/support/session.ts'
import { spread } from './figures.ts'
import { type MeasuredService, withService } from './service.ts'
import { DEPLOYMENT, pause, type Stage, say, untilAvailable } from './stage.ts'

/** One hand-over, in milliseconds. */
export interface HandMade {
  readonly total: number
  readonly volume_list: number
  readonly volume_update: number
  readonly transfer_accept: number
}

export interface ByHand {
  readonly claims: readonly number[]
  readonly byHand: readonly HandMade[]
}

interface Armed {
  readonly volumeId: string
  readonly transfer: { readonly id: string; readonly auth_key: string }
}

/** Claims and hand-overs by hand in turn, alone and so many at the same moment. What is on the disks does not matter. */
export async function measureByHand(
  stage: Stage,
  { os, snapshotId, rounds, atOnce }: { os: string; snapshotId: string; rounds: number; atOnce: number }
): Promise<{ alone: ByHand; together: ByHand }> {
  const target = 1 + rounds + atOnce
  const options = { os, target, creatingMaxPerSnapshot: target }
  return await withService(stage, options, async service => {
    await service.stock(target)
    say(`arming ${target} spares by hand`)
    const armed = await armedSpares(stage, snapshotId, target)
    await service.claim('first') // It logs in and has the tenant's token checked, which later ones need not.
    await handOver(stage, take(armed), 'first')
    say(`${rounds} claims and hand-overs by hand in turn, then ${atOnce} at once of each`)
    const alone = await inTurn(stage, service, armed, rounds)
    const crowd = await together(stage, service, armed, atOnce)
    for (const { claims, byHand } of [alone, crowd]) {
      say(`  claims ${spread(claims)}, by hand ${spread(byHand.map(({ total }) => total))}`)
    }
    return { alone, together: crowd }
  })
}

function take(armed: Armed[]): Armed {
  const next = armed.pop()
  assert.ok(next)
  return next
}

async function inTurn(stage: Stage, service: MeasuredService, armed: Armed[], rounds: number): Promise<ByHand> {
  const [claims, byHand]: [number[], HandMade[]] = [[], []]
  for (let round = 1; round <= rounds; round += 1) {
    await pause(stage, 100)
    claims.push((await service.claim(`turn-${round}`)).answered)
    await pause(stage, 100)
    byHand.push(await handOver(stage, take(armed), `turn-${round}`))
  }
  return { claims, byHand }
}

async function together(stage: Stage, service: MeasuredService, armed: Armed[], atOnce: number): Promise<ByHand> {
  const numbers = Array.from({ length: atOnce }, (_, index) => index)
  await pause(stage, 500)
  const claims = await Promise.all(numbers.map(number => service.claim(`together-${number}`)))
  await pause(stage, 500)
  const byHand = await Promise.all(numbers.map(number => handOver(stage, take(armed), `together-${number}`)))
  return { claims: claims.map(({ answered }) => answered), byHand }
}

/** All are asked for before the first is waited for: Cinder makes one after the other. */
async function armedSpares(stage: Stage, snapshotId: string, count: number): Promise<Armed[]> {
  const { pool } = stage
  const ids: string[] = []
  for (let number = 0; number < count; number += 1) {
    ids.push((await pool.create({ name: `${DEPLOYMENT}-spare-${number}`, snapshot_id: snapshotId })).id)
  }
  const armed: Armed[] = []
  for (const volumeId of ids) {
    await untilAvailable(stage, pool, volumeId)
    armed.push({ volumeId, transfer: await pool.arm(volumeId, { no_snapshots: true }) })
  }
  return armed
}

/** As the service does it: is there a volume of that name? Meanwhile the spare is renamed; then the tenant accepts it. */
async function handOver({ pool, tenant }: Stage, { volumeId, transfer }: Armed, hostname: string): Promise<HandMade> {
  const name = `${DEPLOYMENT}-by-hand-${hostname}_sys`
  const query = new URLSearchParams({ limit: '1000', sort: 'created_at:asc,id:asc', name })
  const change = { volume: { name, metadata: {} } }
  const startedAt = performance.now()
  const [[listed, list], [renamed, update]] = await Promise.all([
    timed(() => tenant.call('GET', `/volumes/detail?${query.toString()}`)),
    timed(() => pool.call('PUT', `/volumes/${volumeId}`, change))
  ])
  const [accepted, accept] = await timed(() => tenant.accept(transfer))
  const total = performance.now() - startedAt
  assert.deepEqual(listed.body.volumes, [] satisfies Body[])
  assert.deepEqual([listed.status, renamed.status, accepted.status], [200, 200, 202], accepted.text)
  return { total, volume_list: list, volume_update: update, transfer_accept: accept }
}

async function timed<T>(work: () => Promise<T>): Promise<readonly [T, number]> {
  const startedAt = performance.now()
  const result = await work()
  return [result, performance.now() - startedAt]
}
