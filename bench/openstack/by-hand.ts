/** What a claim's calls to Cinder take by themselves: the same ones, in the same order, without the service. */
import assert from 'node:assert/strict'
import { ctl } from '../../test/openstack/cloud.ts'
import type { Body } from '../../test/support/session.ts'
import { type CpuTimes, cpuTimes, usedEach } from './cpu.ts'
import { lastOf, procession, spread } from './figures.ts'
import { type CheckExisting, type MeasuredService, withService } from './service.ts'
import { clearTenant, DEPLOYMENT, pause, type Stage, say, untilAvailable } from './stage.ts'

/** One hand-over and its calls, in milliseconds; a call that is missing was not made, or not by us. */
export interface HandOver {
  readonly total: number
  readonly volume_list?: number
  readonly volume_update?: number
  readonly transfer_accept?: number
}

/** One after the other, in turn. */
export interface ByHand {
  readonly claims: readonly number[]
  readonly byHand: readonly HandOver[]
}

/**
 * Claims, also when Cinder must ask Keystone about every token first; and hand-overs with ever fewer calls: all that a
 * claim makes; without the look-up (`claims.check_existing: claims`); the accept alone, below which nothing can be that
 * hands a volume over by a transfer.
 */
export const WAYS = ['claim', 'claim, tokens unknown', 'by hand', 'by hand, no look-up', 'the accept alone'] as const
export type Way = (typeof WAYS)[number]

/** Those that take a spare of the service's; the others take one that was armed by hand. */
const BY_SERVICE: readonly Way[] = ['claim', 'claim, tokens unknown']

/** Several times so many at the same moment. */
export interface Crowds {
  readonly way: Way
  /** Of each crowd, in milliseconds. */
  readonly crowds: readonly (readonly HandOver[])[]
  /** For one of them. */
  readonly cpu: CpuTimes
}

export interface HandOptions {
  readonly os: string
  readonly snapshotId: string
  readonly rounds: number
  readonly atOnce: number
  readonly crowds: number
  readonly checkExisting: CheckExisting
}

/** Claims and hand-overs by hand in turn, alone and so many at the same moment. What is on the disks does not matter. */
export async function measureByHand(
  stage: Stage,
  { os, snapshotId, rounds, atOnce, crowds, checkExisting }: HandOptions
): Promise<{ alone: ByHand; together: readonly Crowds[] }> {
  const target = 1 + rounds + BY_SERVICE.length * crowds * atOnce
  const options = { os, target, creatingMaxPerSnapshot: target, checkExisting }
  return await withService(stage, options, async service => {
    await service.stock(target)
    const armed = await armedSpares(stage, snapshotId, 1 + rounds + (WAYS.length - BY_SERVICE.length) * crowds * atOnce)
    await service.claim('first') // It logs in and has the tenant's token checked, which later ones need not.
    await handOver(stage, take(armed), 'first')
    const alone = await inTurn(stage, service, armed, rounds)
    const together = await new Crowd(stage, service, armed).inTurn(crowds, atOnce)
    return { alone, together }
  })
}

/**
 * So many small disks handed over at the same moment, not measured: Cinder opens a connection to RabbitMQ for each accept
 * under way, which takes it a second, and closes them after twenty minutes.
 */
export async function warmUp(stage: Stage, snapshotId: string, count: number): Promise<void> {
  const armed = await armedSpares(stage, snapshotId, count)
  await Promise.all(armed.map((spare, index) => handOver(stage, spare, `warm-up-${index}`)))
  await clearTenant(stage)
}

function take(armed: Armed[]): Armed {
  const next = armed.pop()
  assert.ok(next)
  return next
}

async function inTurn(stage: Stage, service: MeasuredService, armed: Armed[], rounds: number): Promise<ByHand> {
  say(`${rounds} claims and hand-overs by hand in turn`)
  const [claims, byHand]: [number[], HandOver[]] = [[], []]
  await service.ready()
  for (let round = 1; round <= rounds; round += 1) {
    await pause(stage, 100)
    claims.push((await service.take(`turn-${round}`)).answered)
    await pause(stage, 100)
    byHand.push(await handOver(stage, take(armed), `turn-${round}`))
  }
  say(`  claims ${spread(claims)}, by hand ${spread(byHand.map(({ total }) => total))}`)
  return { claims, byHand }
}

class Crowd {
  readonly #stage: Stage
  readonly #service: MeasuredService
  readonly #armed: Armed[]

  constructor(stage: Stage, service: MeasuredService, armed: Armed[]) {
    this.#stage = stage
    this.#service = service
    this.#armed = armed
  }

  /** A crowd of each way, another of each way, … */
  async inTurn(crowds: number, atOnce: number): Promise<readonly Crowds[]> {
    say(`${crowds} times ${atOnce} at once of each: ${WAYS.join('; ')}`)
    const all = WAYS.map(way => ({ way, made: [] as HandOver[][], cpu: [] as CpuTimes[] }))
    for (let crowd = 1; crowd <= crowds; crowd += 1) {
      for (const { way, made, cpu } of all) {
        const names = Array.from({ length: atOnce }, (_, index) => `together-${WAYS.indexOf(way)}-${crowd}-${index}`)
        const handOvers = await this.#ready(way, names)
        await this.#service.ready()
        if (way === 'claim, tokens unknown') await ctl('forget-tokens')
        const before = cpuTimes(this.#service.pid)
        const crowdMade = await Promise.all(handOvers.map(start => start()))
        cpu.push(usedEach(before, cpuTimes(this.#service.pid), atOnce))
        made.push(crowdMade)
        say(`  ${way}: ${procession(crowdMade.map(({ total }) => total))}`)
      }
    }
    return all.map(({ way, made, cpu }) => ({ way, crowds: made, cpu: meanTimes(cpu) }))
  }

  /** All that need not be measured is done; what is given does the rest. */
  async #ready(way: Way, names: readonly string[]): Promise<(() => Promise<HandOver>)[]> {
    if (BY_SERVICE.includes(way)) {
      return names.map(name => async () => ({ total: (await this.#service.take(name)).answered }))
    }
    const spares = names.map(name => ({ name, spare: take(this.#armed) }))
    if (way === 'the accept alone') {
      for (const { name, spare } of spares) await rename(this.#stage, spare, name)
      return spares.map(({ spare }) => async () => {
        const [, transfer_accept] = await timed(() => accept(this.#stage, spare))
        return { total: transfer_accept, transfer_accept }
      })
    }
    return spares.map(
      ({ name, spare }) =>
        () =>
          handOver(this.#stage, spare, name, { look: way === 'by hand' })
    )
  }
}

function meanTimes(times: readonly CpuTimes[]): CpuTimes {
  const [first = {}] = times
  return Object.fromEntries(
    Object.keys(first).map(who => [who, times.reduce((sum, time) => sum + (time[who] ?? 0), 0) / times.length])
  )
}

interface Armed {
  readonly volumeId: string
  readonly transfer: { readonly id: string; readonly auth_key: string }
}

/** All are asked for before the first is waited for: Cinder makes one after the other. */
async function armedSpares(stage: Stage, snapshotId: string, count: number): Promise<Armed[]> {
  say(`arming ${count} spares by hand`)
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
async function handOver(stage: Stage, spare: Armed, hostname: string, { look = true } = {}): Promise<HandOver> {
  const startedAt = performance.now()
  const [list, [, volume_update]] = await Promise.all([
    look ? timed(() => lookUp(stage, hostname)) : undefined,
    timed(() => rename(stage, spare, hostname))
  ])
  const [, transfer_accept] = await timed(() => accept(stage, spare))
  const total = performance.now() - startedAt
  return { total, volume_update, transfer_accept, ...(list && { volume_list: list[1] }) }
}

const nameOf = (hostname: string): string => `${DEPLOYMENT}-by-hand-${hostname}_sys`

async function lookUp({ tenant }: Stage, hostname: string): Promise<void> {
  const query = new URLSearchParams({ limit: '1000', sort: 'created_at:asc,id:asc', name: nameOf(hostname) })
  const { status, body, text } = await tenant.call('GET', `/volumes/detail?${query.toString()}`)
  assert.equal(status, 200, text)
  assert.deepEqual(body.volumes, [] satisfies Body[])
}

async function rename({ pool }: Stage, { volumeId }: Armed, hostname: string): Promise<void> {
  const { status, text } = await pool.call('PUT', `/volumes/${volumeId}`, {
    volume: { name: nameOf(hostname), metadata: {} }
  })
  assert.equal(status, 200, text)
}

async function accept({ tenant }: Stage, { transfer }: Armed): Promise<void> {
  const { status, text } = await tenant.accept(transfer)
  assert.equal(status, 202, text)
}

async function timed<T>(work: () => Promise<T>): Promise<readonly [T, number]> {
  const startedAt = performance.now()
  const result = await work()
  return [result, performance.now() - startedAt]
}

/** When the last of each crowd was done, in milliseconds. */
export const lasts = ({ crowds }: Pick<Crowds, 'crowds'>): number[] =>
  crowds.map(crowd => lastOf(crowd.map(({ total }) => total)))
