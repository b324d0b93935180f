import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aPatient } from '../support/patient.ts'
import { aService, DEBIAN } from '../support/service.ts'
import { logIn } from '../support/session.ts'

const tokenOf = async (authUrl: string): Promise<string> =>
  (await logIn({ authUrl, user: 'pool-svc', password: 'sandbox', project: 'pool' })).token

describe('a service that was given a token', () => {
  it('serves for as long as the token lives, and warns of its end at the start', async t => {
    const one = await aService(t, { filled: false })
    const { authUrl } = one.sandbox
    const auth = { auth_url: authUrl, token: await tokenOf(authUrl), project_id: one.project('pool') }
    const config = { ...one.config, openstack: { ...one.config.openstack, auth_type: 'v3token', auth } }
    const lines: string[] = []
    const service = await aService(t, { beside: { ...one, config }, onLog: line => lines.push(line) })
    const claim = await service.claim({ ...DEBIAN, hostname: 'web-1', project_id: service.project('tenant-a') })
    assert.equal(claim.status, 200)
    const warnings = lines.map(line => JSON.parse(line)).filter(({ level }) => level === 'warn')
    assert.deepEqual(
      warnings.map(({ msg }) => msg),
      ['OpenStack settings will not work for long']
    )
    assert.ok(!lines.join().includes(auth.token))
  })

  it('is warned by doctor too', async t => {
    const patient = await aPatient(t)
    const { auth_url: authUrl } = patient.auth() as { auth_url: string }
    const auth = { auth_url: authUrl, token: await tokenOf(authUrl), project_name: 'pool', domain_name: 'Default' }
    const findings = await patient.examine({ openstack: { auth_type: 'token', auth } })
    assert.deepEqual(findings.with('failed'), [])
    assert.deepEqual(findings.with('warning'), ['configuration.login'])
    assert.match(findings.of('configuration.login')[1], /stops when that ends -> give it a user with a password/)
  })
})
