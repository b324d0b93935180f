import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'vitest'
import type { ClaimView, StatsView } from '../../src/http/schemas.ts'
import { aConfigFile, aFolder, runCommand, startCommand } from '../support/command-line.ts'
import { aDatabaseAddress } from '../support/database.ts'
import { aPatient } from '../support/patient.ts'
import { until } from '../support/until.ts'

const isGone = (pid: number): boolean => {
  try {
    return !process.kill(pid, 0)
  } catch {
    return true
  }
}

/** As every user of the machine can read it. */
const commandLineOf = (pid: number): string =>
  existsSync(`/proc/${pid}/cmdline`)
    ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    : execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })

/** `spare-pool serve` with nothing said at all, in a folder of its own and on ports of its own. */
async function aDemonstration(t: TestContext, cwd: string) {
  const startedAt = new Date()
  const command = startCommand(t, ['serve'], { cwd, env: { PORT: '0', SANDBOX_PORT: '0' } })
  const [, url = ''] = await command.says(/The page, with every pool's level: +(http:\S+)\//)
  const [, sandboxUrl = ''] = await command.says(/A sandbox cloud, .*: (http:\S+)/)
  const [postgresPid = ''] = readFileSync(join(cwd, 'data/postgres/postmaster.pid'), 'utf8').split('\n')
  /** Spares in stock, once a reconcile has seen to what an earlier run left. */
  const available = async (): Promise<number> => {
    const { pools, ticks } = (await (await fetch(`${url}/pool/stats`)).json()) as StatsView
    const isReconciled = new Date(ticks['reconcile']?.last_ok_at ?? 0) > startedAt
    return isReconciled ? (pools.find(({ type }) => type === 'sas')?.spares['available'] ?? 0) : 0
  }
  const claim = async (hostname: string): Promise<ClaimView> => {
    const body = JSON.stringify({ hostname, os: 'debian12', type: 'sas' })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}/pool/claim`, { method: 'POST', headers, body })
    assert.equal(answer.status, 200)
    return (await answer.json()) as ClaimView
  }
  return { command, url, sandboxUrl, postgresPid: Number(postgresPid), available, claim }
}

describe('serve without a configuration', () => {
  it('comes up with all it needs, fills, answers a claim, and takes all of it down on SIGTERM', async t => {
    const cwd = aFolder(t)
    const demonstration = await aDemonstration(t, cwd)
    const { command, url, sandboxUrl, postgresPid } = demonstration
    assert.equal((await fetch(`${url}/readyz`)).status, 200)
    await until(async () => (await demonstration.available()) > 0)
    const claim = await demonstration.claim('web-01')
    assert.deepEqual([claim.source, claim.name, claim.status], ['pool', 'web-01_sys', 'available'])
    assert.equal(isGone(postgresPid), false)
    command.kill('SIGTERM')
    const { code, stdout } = await command.ended
    assert.equal(code, 0, stdout)
    assert.match(stdout, /"msg":"service stopped"/)
    assert.equal(isGone(postgresPid), true)
    await assert.rejects(fetch(`${url}/healthz`))
    await assert.rejects(fetch(`${sandboxUrl}/sandbox/state`))
    assert.deepEqual(readdirSync(join(cwd, 'data')).toSorted(), ['postgres', 'postgres.log', 'secret'])
  })

  it('recovers in the same folder after kill -9', { timeout: 90_000 }, async t => {
    const cwd = aFolder(t)
    const first = await aDemonstration(t, cwd)
    await until(async () => (await first.available()) === 3, 60) // What is on its way when the cloud is lost backs off.
    const before = await first.claim('web-01')
    first.command.kill('SIGKILL')
    await first.command.ended
    const second = await aDemonstration(t, cwd)
    await until(async () => (await second.available()) > 0, 60)
    const after = await second.claim('web-02')
    assert.equal(after.source, 'pool')
    assert.notEqual(after.volume_id, before.volume_id, 'the new cloud has a volume with the id of an old one')
    const { claims } = (await (await fetch(`${second.url}/pool/claims`)).json()) as { claims: ClaimView[] }
    assert.ok(
      claims.some(({ claim_id }) => claim_id === before.claim_id),
      'it forgot a claim'
    )
    second.command.kill('SIGTERM')
    assert.equal((await second.command.ended).code, 0)
    for (const { postgresPid } of [first, second]) assert.equal(isGone(postgresPid), true)
  })
})

describe('serve with a configuration', () => {
  it('runs the service against what it names', async t => {
    const patient = await aPatient(t)
    const file = aConfigFile(t, patient.document({ server: { port: 0 } }))
    const command = startCommand(t, ['serve', '--config', file])
    const [, url = ''] = await command.says(/"url":"([^"]+)".*"msg":"service started"/)
    assert.equal((await fetch(`${url}/readyz`)).status, 200)
    assert.equal((await fetch(`${url}/pool/stats`)).status, 401)
    assert.ok(existsSync(join(patient.folder, 'secret')))
    command.kill('SIGINT')
    assert.equal((await command.ended).code, 0)
  })

  it('shows its passwords nowhere: not in its log at level trace, as it fails, nor among its arguments', async t => {
    const patient = await aPatient(t)
    const [ofCloud, ofDatabase] = [`cloud-${randomUUID()}`, `database-${randomUUID()}`]
    const user = Object.assign(patient.user('pool-svc'), { password: ofCloud })
    const document = patient.document({
      server: { port: 0 },
      database: { url: patient.databaseUrl.replace('@', `:${ofDatabase}@`) },
      openstack: { auth: patient.auth({ password: ofCloud }) },
      ticks: { check_state: '* * * * * *' },
      access: { mode: 'none' },
      log: { level: 'trace' }
    })
    const command = startCommand(t, ['serve', '--config', aConfigFile(t, document)])
    const [, url = ''] = await command.says(/"url":"([^"]+)".*"msg":"service started"/)
    const commandLine = commandLineOf(command.pid)
    assert.match(commandLine, /serve.--config/)
    user.password = 'changed'
    patient.cloud.tokens.clear()
    await command.says(/"msg":"tick failed"/)
    const answers = []
    for (const path of ['/pool/stats', '/pool/plan', '/metrics']) answers.push(await (await fetch(url + path)).text())
    command.kill('SIGTERM')
    const { stdout, stderr } = await command.ended
    assert.match(answers.join(), /service's own login is refused/)
    for (const secret of [ofCloud, ofDatabase]) {
      for (const text of [stdout, stderr, commandLine, ...answers]) assert.ok(!text.includes(secret), text)
    }
  })

  it('exits with 1 when its database cannot be reached, or its port is taken', async t => {
    const patient = await aPatient(t)
    const lost = aConfigFile(
      t,
      patient.document({ server: { port: 0 }, database: { url: 'postgres://127.0.0.1:1/x' } })
    )
    const { code, stderr } = await runCommand(t, ['serve', '--config', lost])
    assert.equal(code, 1)
    assert.match(stderr, /spare-pool: The database does not answer/)
    const [, port] = /:(\d+)\//.exec((patient.auth() as { auth_url: string }).auth_url) ?? []
    const taken = await runCommand(t, [
      'serve',
      '--config',
      aConfigFile(t, patient.document({ server: { port: Number(port) } }))
    ])
    assert.equal(taken.code, 1)
    assert.match(taken.stderr, /spare-pool: .*EADDRINUSE/)
  })
})

describe('migrate', () => {
  it('brings a database up to date, and finds nothing to do the second time', async t => {
    const { url } = await aDatabaseAddress(t)
    const file = aConfigFile(t, { database: { embedded: { data_dir: join(aFolder(t), 'data') } } })
    const first = await runCommand(t, ['migrate', '--config', file])
    assert.equal(first.code, 0, first.stderr)
    assert.match(first.stdout, /^applied: 0001-\S+/)
    const second = await runCommand(t, ['migrate', '--config', file])
    assert.deepEqual([second.code, second.stdout], [0, 'nothing to do\n'])
    const other = await runCommand(t, ['migrate', '--config', file], { env: { DATABASE_URL: url } })
    assert.deepEqual([other.code, other.stdout], [0, 'nothing to do\n'])
  })

  it('exits with 1 when the database cannot be reached', async t => {
    const file = aConfigFile(t, { database: { url: 'postgres://pool:hunter2@127.0.0.1:1/pool' } })
    const { code, stdout, stderr } = await runCommand(t, ['migrate', '--config', file])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^spare-pool: The database does not answer: start it, or correct database\.url/)
    assert.doesNotMatch(stderr, /hunter2/)
  })
})
