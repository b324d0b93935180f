import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { it } from 'vitest'
import { as } from '../support/access.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const OURS = `bearer-${randomUUID()}`
const SHA256 = createHash('sha256').update(OURS).digest('hex')

/** Everything that nobody may read anywhere: the cloud's tokens and transfer keys, our own tokens, and what seals. */
async function secretsOf(service: TestService, keys: ReadonlySet<string>): Promise<string[]> {
  const sealed = await service.rows<{ auth_key: string }>(
    'select auth_key from backup_volumes where auth_key is not null'
  )
  return [
    OURS,
    ...keys,
    ...service.sandbox.cloud.tokens.keys(),
    ...sealed.map(({ auth_key }) => auth_key),
    readFileSync(service.config.secret_file, 'utf8').trim()
  ]
}

it('no password, token, key or secret is in a log, an error, a metric or any answer', async t => {
  const lines: string[] = []
  const answers: string[] = []
  const keys = new Set<string>()
  const service = await aService(t, {
    filled: false,
    onLog: line => lines.push(line),
    config: { access: { mode: 'token', tokens: [{ name: 'all', sha256: SHA256, role: 'admin' }] } }
  })
  const { cloud } = service.sandbox
  const caller = await as(service, 'tenant-a', 'member')
  const headers = { authorization: `Bearer ${OURS}` }
  const call = async (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown, more = {}): Promise<void> => {
    for (const { authKey } of cloud.transfers.all()) keys.add(authKey)
    answers.push(JSON.stringify(await service.call(method, path, body, { ...headers, ...more })))
    for (const { authKey } of cloud.transfers.all()) keys.add(authKey)
  }
  const claim = (hostname: string, more = {}) =>
    call('POST', '/pool/claim', { hostname, ...DEBIAN, project_id: service.project('tenant-a') }, more)
  const everything = async () => {
    for (const path of ['/os/sync', '/pool/replenish', '/pool/check', '/pool/reconcile']) await call('POST', path)
    for (const path of ['/pool/stats', '/pool/plan', '/pool/volumes', '/pool/claims', '/os', '/metrics', '/readyz']) {
      await call('GET', path)
    }
  }

  await everything()
  await claim('well', caller)
  for (const kind of ['reset_before', 'reset_after', 'revoke_tokens'] as const) {
    cloud.addFault({ operation: 'transfer_accept', kind, count: 2 })
    await claim(kind, caller)
    cloud.faults.remove()
  }
  for (const status of [400, 401, 403, 404, 413, 500, 502, 503]) {
    cloud.addFault({ kind: 'status', status, count: 40 })
    await everything()
    await claim(`status-${status}`, caller)
    cloud.faults.remove()
  }
  await claim('unknown', { 'x-auth-token': `unknown-${OURS}` })
  await call('GET', '/os', undefined, { authorization: `Bearer wrong-${OURS}` })
  await call('POST', '/pool/claim', `{"token": "${OURS}"`, { 'content-type': 'application/json' })
  // A fault of our own, at which PostgreSQL quotes the whole row, sealed key and all.
  await service.rows('alter table backup_volumes add constraint unkeyed check (auth_key is null) not valid')
  await call('POST', '/pool/resume') // Nothing backs off any more.
  for (const url of ['/pool/replenish', '/pool/check', '/pool/replenish', '/pool/check']) {
    const broken = service.service.app.inject({ method: 'POST', url, headers })
    answers.push((await service.clock.during(Promise.resolve(broken))).body)
    service.clock.pass(30)
  }
  assert.ok(
    lines.some(line => line.includes('violates check constraint')),
    'nothing of ours failed'
  )
  await service.rows('alter table backup_volumes drop constraint unkeyed')
  await service.rows('drop table orphans')
  await everything()

  assert.ok(lines.length > 20 && answers.length > 100 && keys.size > 3)
  for (const secret of await secretsOf(service, keys)) {
    assert.ok(!lines.some(line => line.includes(secret)), `in the log: ${lines.find(line => line.includes(secret))}`)
    assert.ok(
      !answers.some(answer => answer.includes(secret)),
      answers.find(answer => answer.includes(secret))
    )
  }
  // The sandbox's password is a word of its own name: here it must not stand as a value.
  const all = [...lines, ...answers]
  for (const text of all) assert.doesNotMatch(text, /"password":(?!"\[Redacted\]")|"sandbox"|Failing row contains/)
})
