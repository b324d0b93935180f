import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it, type TestContext } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import type { ClaimView, PlanView, StatsView, SyncView } from '../../src/http/schemas.ts'
import { createLog } from '../../src/log.ts'
import { startService } from '../../src/service.ts'
import { aConfigFile, runCommand } from '../support/command-line.ts'
import { aPatient } from '../support/patient.ts'

const CLAIM = ['claim', '--hostname', 'web-01', '--os', 'debian12', '--type', 'ssd']
const ROLES = ['admin', 'service', 'reader'] as const

const tokenOf = (role: string): string => `the-token-of-${role}`
const tokens = ROLES.map(role => ({
  name: role,
  role,
  sha256: createHash('sha256').update(tokenOf(role)).digest('hex')
}))

/** A service in this process with full pools, and `spare-pool` as a process of its own that calls it. */
async function aServiceToCall(t: TestContext) {
  const patient = await aPatient(t)
  const config = parseConfig(
    patient.document({
      server: { port: 0 },
      pools: [{ os: 'debian12', type: 'ssd', target: 2 }],
      limits: { creating_max: 10, creating_max_per_snapshot: 10 },
      access: { mode: 'token', tokens }
    }),
    {},
    'the test'
  )
  const service = await startService({ config, env: {}, log: createLog('silent'), ticking: false })
  t.onTestFinished(() => service.stop())
  for (const tick of ['replenish', 'check']) {
    const headers = { authorization: `Bearer ${tokenOf('admin')}` }
    const { statusCode } = await service.app.inject({ method: 'POST', url: `/pool/${tick}`, headers })
    assert.equal(statusCode, 200)
  }
  const run = (args: readonly string[], role: (typeof ROLES)[number] | undefined) =>
    runCommand(t, [...args, '--url', service.url], { env: role ? { SPARE_POOL_TOKEN: tokenOf(role) } : {} })
  return { patient, service, run }
}

describe('against a running service', () => {
  it('stats and plan show every pool, as a table or as JSON', async t => {
    const { run } = await aServiceToCall(t)
    const stats = await run(['stats'], 'reader')
    assert.deepEqual([stats.code, stats.stderr], [0, ''])
    assert.match(stats.stdout, /^OS +TYPE +CONDITION +AVAILABLE/)
    assert.match(stats.stdout, /^debian12 +ssd +full +2 +0 +2 +20261101/m)
    const whole = JSON.parse((await run(['stats', '--json', '--window', '1h'], 'reader')).stdout) as StatsView
    assert.equal(whole.pools[0]?.condition, 'full')
    const plan = await run(['plan'], 'reader')
    assert.match(plan.stdout, /^debian12 +ssd +2 +2 +0 +0 +0 +nothing is missing$/m)
    const { pools } = JSON.parse((await run(['plan', '--json'], 'reader')).stdout) as { pools: PlanView[] }
    assert.equal(pools[0]?.held, 2)
  })

  it('claim hands over a disk, and the same one again', async t => {
    const { patient, run } = await aServiceToCall(t)
    const projectId = patient.project('tenant-a')
    const args = [...CLAIM, '--project-id', projectId, '--size', '30', '--on-empty', 'fail', '--wait-seconds', '1']
    const { code, stdout, stderr } = await run(args, 'service')
    assert.equal(code, 0, stderr)
    const claim = JSON.parse(stdout) as ClaimView
    assert.deepEqual([claim.name, claim.source, claim.size, claim.project_id], ['web-01_sys', 'pool', 30, projectId])
    assert.equal(patient.cloud.volumes.get(claim.volume_id ?? '')?.projectId, projectId)
    const again = await run(args, 'service')
    assert.equal((JSON.parse(again.stdout) as ClaimView).volume_id, claim.volume_id)
  })

  it('what the service refuses exits with 1 and its own words', async t => {
    const { run } = await aServiceToCall(t)
    const unknown = await run(['claim', '--hostname', 'a', '--os', 'plan9', '--type', 'ssd'], 'service')
    assert.deepEqual([unknown.code, unknown.stdout], [1, ''])
    assert.match(unknown.stderr, /^spare-pool: 404 image_not_found: .*plan9.* \(req-[0-9a-f-]{36}\)$/m)
    const stranger = await run(['stats'], undefined)
    assert.equal(stranger.code, 1)
    assert.match(stranger.stderr, /401 unauthenticated: /)
    const reader = await run(['sync'], 'reader')
    assert.equal(reader.code, 1)
    assert.match(reader.stderr, /403 forbidden: /)
  })

  it('sync reads the snapshots again, or shows what that would do', async t => {
    const { patient, run } = await aServiceToCall(t)
    patient.cloud.addSnapshot({ name: 'debian12_ssd_20261201' })
    patient.cloud.addSnapshot({ name: 'notes' })
    const dry = await run(['sync', '--dry-run'], 'admin')
    assert.match(dry.stdout, /^debian12 +ssd +20261201 +changed/m)
    assert.match(dry.stdout, /^ignored: notes: name does not match/m)
    assert.match(dry.stdout, /^would retire 2 spares; nothing was changed$/m)
    const real = JSON.parse((await run(['sync', '--json', '--purge', 'stale'], 'admin')).stdout) as SyncView
    assert.deepEqual([real.retired, real.dry_run], [2, false])
    assert.match((await run(['sync'], 'admin')).stdout, /^retired 0 spares$/m)
    for (const snapshot of patient.cloud.snapshots.values()) snapshot.name = 'gone'
    const none = await run(['sync'], 'admin')
    assert.equal(none.code, 1)
    assert.match(none.stderr, /422 no_images_found: /)
  })

  it('finds it where the configuration says, also if it listens everywhere', async t => {
    const { patient, service } = await aServiceToCall(t)
    const port = Number(new URL(service.url).port)
    for (const host of ['127.0.0.1', '0.0.0.0', '::']) {
      const config = aConfigFile(t, patient.document({ server: { host, port } }))
      const env = { SPARE_POOL_TOKEN: tokenOf('reader'), SPARE_POOL_CONFIG: config }
      const { code, stderr } = await runCommand(t, ['plan'], { env })
      if (host === '::') assert.match(stderr, /No answer from http:\/\/\[::1\]:\d+/)
      else assert.equal(code, 0, stderr)
    }
  })
})
