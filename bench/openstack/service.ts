/** The service that is measured, with a pool and a database of its own. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { ClaimView, SpareView, StatsView } from '../../src/http/schemas.ts'
import { type Answer, type Session, send } from '../../test/support/session.ts'
import { atRest } from './cpu.ts'
import { type ServiceProcess, serve } from './process.ts'
import { DEPLOYMENT, type Stage, say, showTokens, until } from './stage.ts'

/** The disk class that all of it is on. */
export const TYPE = 'ssd'

export interface ServiceOptions {
  readonly os: string
  readonly target: number
  /** Volumes of one snapshot on their way at once. */
  readonly creatingMaxPerSnapshot: number
  readonly snapshotName?: string
  readonly checkExisting?: CheckExisting
}

/** `claims.check_existing`: whether a claim looks its name up in Cinder (the default), or trusts the table of claims. */
export type CheckExisting = 'cinder' | 'claims'

/** A claim that was served from stock, in milliseconds. */
export interface TimedClaim {
  /** Until the service's answer. */
  readonly answered: number
  /** Until the tenant has seen the disk `available` in its project. */
  readonly available: number
}

/** The service's requests to the cloud since its start, by what they ask for. */
export type CloudRequests = ReadonlyMap<string, { readonly count: number; readonly seconds: number }>

/** Runs a service for as long as the work lasts. */
export async function withService<T>(
  stage: Stage,
  options: ServiceOptions,
  work: (service: MeasuredService) => Promise<T>
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'spare-pool-bench-'))
  try {
    const config = join(folder, 'config.yaml')
    writeFileSync(config, stringify(configOf(options, folder)))
    const running = await serve(config, folder)
    try {
      return await work(new MeasuredService(stage, running, options.os))
    } catch (error) {
      if (!stage.signal.aborted) say(`the service has said last:\n${running.said().split('\n').slice(-12).join('\n')}`)
      throw error
    } finally {
      await running.stop()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
  }
}

/**
 * Volumes on their way are looked at every second, so that filling a pool takes no longer than Cinder does. Reconcile
 * runs at the start only: what the service does by itself must not fall into what is measured.
 */
const configOf = (
  { os, target, creatingMaxPerSnapshot, snapshotName, checkExisting = 'cinder' }: ServiceOptions,
  folder: string
): object => ({
  deployment: DEPLOYMENT,
  server: { port: 0 },
  database: { embedded: { data_dir: join(folder, 'data') } },
  secret_file: join(folder, 'secret'),
  openstack: { cloud: 'pool-svc' },
  ...(snapshotName === undefined ? {} : { images: { snapshot_name: snapshotName } }),
  claims: { check_existing: checkExisting },
  pools: [{ os, type: TYPE, target }],
  limits: { creating_max: target, creating_max_per_snapshot: creatingMaxPerSnapshot },
  ticks: { check_state: '* * * * * *', reconcile: '0 0 0 1 1 *' }
})

export class MeasuredService {
  readonly #stage: Stage
  readonly #process: ServiceProcess
  readonly #os: string

  constructor(stage: Stage, running: ServiceProcess, os: string) {
    this.#stage = stage
    this.#process = running
    this.#os = os
  }

  get pid(): number {
    return this.#process.pid
  }

  /**
   * Waits until the machine is at rest, and all that is checked every five minutes was checked a moment ago: the tenant's
   * token by the service; the service's, ours and the tenant's by Cinder.
   */
  async ready(): Promise<void> {
    const { operator, tenant } = this.#stage
    await this.#call('POST', '/os/sync', operator, { dry_run: true })
    const { status, text } = await send('GET', `${this.#process.url}/pool/stats`, { 'x-auth-token': tenant.token })
    assert.equal(status, 403, text) // It may not, but the service knows it now.
    await showTokens(this.#stage)
    await atRest(this.#stage)
  }

  /** Takes a spare, and looks at it as its tenant. Anything but a hit fails the measurement. */
  async claim(hostname: string): Promise<TimedClaim> {
    const startedAt = performance.now()
    const { claim, answered } = await this.take(hostname)
    const { volume } = await this.#stage.tenant.get(`/volumes/${claim.volume_id}`)
    const available = performance.now() - startedAt
    assert.deepEqual([volume.status, volume.name], ['available', claim.name])
    return { answered, available }
  }

  /** Takes a spare, without looking at it. */
  async take(hostname: string): Promise<{ readonly claim: ClaimView; readonly answered: number }> {
    const startedAt = performance.now()
    const { body, text } = await this.#call('POST', '/pool/claim', this.#stage.tenant, {
      hostname: `${DEPLOYMENT}-${hostname}`,
      os: this.#os,
      type: TYPE,
      on_empty: 'fail'
    })
    const answered = performance.now() - startedAt
    const claim: ClaimView = body
    assert.equal(claim.source, 'pool', text)
    return { claim, answered }
  }

  /** Fills the pool where it holds less, then lets it rest: no refilling runs beside what is measured. */
  async stock(count: number): Promise<void> {
    const inStock = (await this.#pool()).spares['available'] ?? 0
    if (inStock < count) {
      say(`filling the pool of ${this.#os}`)
      await this.#call('POST', '/pool/resume', this.#stage.operator, {})
      await this.filled()
    }
    await this.#call('POST', '/pool/pause', this.#stage.operator, {})
  }

  /** Waits until the pool holds its target; gives its spares. */
  async filled(): Promise<readonly SpareView[]> {
    await until(this.#stage, `the pool of ${this.#os} is full`, async () => {
      const { last_error: error, spares, target } = await this.#pool()
      assert.equal(error, null)
      return (spares['available'] ?? 0) >= target || undefined
    })
    const { body } = await this.#call('GET', '/pool/volumes?status=available', this.#stage.operator)
    return body.volumes
  }

  async cloudRequests(): Promise<CloudRequests> {
    const text = await (await fetch(`${this.#process.url}/metrics`)).text()
    const [counts, sums] = [readMetric(text, 'count'), readMetric(text, 'sum')]
    return new Map([...counts].map(([operation, count]) => [operation, { count, seconds: sums.get(operation) ?? 0 }]))
  }

  async #pool(): Promise<StatsView['pools'][number]> {
    const { body } = await this.#call('GET', '/pool/stats', this.#stage.operator)
    const stats: StatsView = body
    const [pool] = stats.pools
    assert.ok(pool)
    return pool
  }

  async #call(method: 'GET' | 'POST', path: string, { token }: Session, body?: object): Promise<Answer> {
    const answer = await send(method, this.#process.url + path, { 'x-auth-token': token }, body)
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.text}`)
    return answer
  }
}

function readMetric(text: string, part: 'count' | 'sum'): Map<string, number> {
  const line = new RegExp(`^spare_pool_cloud_request_seconds_${part}\\{.*operation="(\\w+)".*\\} (\\S+)$`, 'gm')
  return new Map([...text.matchAll(line)].map(([, operation = '', value]) => [operation, Number(value)]))
}
