import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, it, type TestContext } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { examineConfig } from '../../src/doctor/doctor.ts'
import { settled, snapshotOf } from '../openstack/golden.ts'
import { quotaOf } from '../support/administration.ts'
import { aConfigFile, aFolder, runCommand } from '../support/command-line.ts'
import { aDatabaseAddress } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { Findings } from '../support/patient.ts'
import type { Body, Session } from '../support/session.ts'
import { configFor, type People, people, withPoolRole } from './support.ts'
import { sweep } from './sweep.ts'

let everyone: People
beforeAll(async () => {
  everyone = await people()
  await sweep(everyone.admin)
})
afterAll(() => sweep(everyone.admin))

type Changes = Readonly<Record<string, unknown>>

/** A configuration with which all would work, but for what differs. */
async function document(t: TestContext, changes: Changes = {}): Promise<Record<string, unknown>> {
  const { url } = await aDatabaseAddress(t)
  return { ...configFor(url, aFolder(t)), ...changes }
}

async function examined(t: TestContext, changes: Changes = {}, projectIds: readonly string[] = []): Promise<Findings> {
  const config = parseConfig(await document(t, changes), {}, 'the test')
  return new Findings(await examineConfig({ config, env: {}, projectIds }))
}

/** The settings of the cloud with some that differ: those of `auth` beside the others. */
async function openstack(t: TestContext, auth: object, others: object = {}): Promise<Changes> {
  const { openstack } = (await document(t)) as { openstack: { auth: object } }
  return { openstack: { auth: { ...openstack.auth, ...auth }, ...others } }
}

/** Sets what a project may have until the test ends. */
async function limited(t: TestContext, project: Session, quota: Record<string, number>): Promise<void> {
  const { limit, undo } = await quotaOf(everyone.admin, project)
  t.onTestFinished(undo)
  await limit(quota)
}

/** Gives the service's user other roles in a project until the test ends. */
async function withRoles(t: TestContext, { projectId }: Session, names: readonly string[]): Promise<void> {
  const { roles } = (await everyone.admin.keystone('GET', '/roles')).body
  const grant = async (method: 'PUT' | 'DELETE', name: string): Promise<void> => {
    const { id } = roles.find((role: Body) => role.name === name)
    const path = `/projects/${projectId}/users/${everyone.pool.userId}/roles/${id}`
    const { status, text } = await everyone.admin.keystone(method, path)
    assert.equal(status, 204, text)
  }
  t.onTestFinished(async () => {
    await grant('PUT', 'member')
    for (const name of names) await grant('DELETE', name)
  })
  for (const name of names) await grant('PUT', name)
  await grant('DELETE', 'member')
}

/** A snapshot of a small disk, until the test ends. */
async function aSnapshot(t: TestContext, name: string, sizeGib = 1): Promise<string> {
  const { pool } = everyone
  const { id } = await pool.create({ name: `source of ${name}`, size: sizeGib, volume_type: 'ceph-ssd' })
  await settled(pool, 'volume', id)
  const snapshot = await snapshotOf(pool, id, name)
  t.onTestFinished(async () => {
    await everyone.admin.call('POST', `/snapshots/${snapshot.id}/action`, {
      'os-reset_status': { status: 'available' }
    })
    await pool.call('DELETE', `/snapshots/${snapshot.id}`)
    await eventually(
      'the snapshot is gone',
      async () => (await pool.call('GET', `/snapshots/${snapshot.id}`)).status === 404
    )
    await pool.call('DELETE', `/volumes/${id}`)
  })
  return snapshot.id
}

const asPool = (os: string, more: object = {}): Changes => ({ pools: [{ os, type: 'ssd', target: 1, ...more }] })

describe('spare-pool doctor on a real cloud', () => {
  it('finds nothing to do where all is well, changes nothing, and exits with 0', async t => {
    const before = (await everyone.admin.get('/volumes/detail?all_tenants=1')).volumes
    const file = aConfigFile(t, await document(t))
    const projects = [everyone.tenantA, everyone.tenantB].flatMap(({ projectId }) => ['--project-id', projectId])
    const { code, stdout } = await runCommand(t, ['doctor', '--config', file, ...projects])
    assert.equal(code, 0, stdout)
    assert.match(stdout, /^0 failed, 0 warnings, 0 skipped$/m)
    assert.match(stdout, /^cloud\.release +ok +\S.* \(microversions up to 3\.\d+; 3\.60 is asked\)/m)
    assert.match(stdout, /^pools\.image debian12 ssd +ok +version 20261101, 1 GiB of ceph-ssd/m)
    assert.deepEqual((await everyone.admin.get('/volumes/detail?all_tenants=1')).volumes, before)
  })

  it('exits with 1 when something would not work', async t => {
    const file = aConfigFile(t, await document(t, asPool('rocky9')))
    const { code, stdout } = await runCommand(t, ['doctor', '--config', file])
    assert.equal(code, 1, stdout)
    assert.match(stdout, /^pools\.image rocky9 ssd +FAILED +no image -> make a snapshot/m)
  })

  it('says what a refused login may come from', async t => {
    for (const auth of [{ password: 'wrong' }, { username: 'nobody' }, { project_name: 'nowhere' }]) {
      const findings = await examined(t, await openstack(t, auth))
      assert.deepEqual(findings.with('failed'), ['login.keystone'])
      assert.match(findings.of('login.keystone')[1], /401.* -> check user, password, project and domains/)
    }
  })

  it('sees that Keystone, or Cinder, cannot be reached', async t => {
    const noKeystone = await examined(t, await openstack(t, { auth_url: 'http://127.0.0.1:1/v3' }))
    assert.match(noKeystone.of('login.keystone').join(), /failed.*ECONNREFUSED.* -> check openstack\.auth\.auth_url/)
    const override = { block_storage_endpoint_override: 'http://127.0.0.1:1' }
    const noCinder = await examined(t, await openstack(t, {}, override))
    assert.match(noCinder.of('cloud.release').join(), /failed.*ECONNREFUSED.* -> see that Cinder runs/)
  })

  it('sees a region that the catalogue does not have, and names those that it has', async t => {
    const findings = await examined(t, await openstack(t, {}, { region_name: 'RegionTwo' }))
    assert.match(findings.of('cloud.release').join(), /no public endpoint.*RegionTwo.*public in region RegionOne/)
  })

  it("sees that the service's user may only read, or has a role that it does not know", async t => {
    await withRoles(t, everyone.pool, ['reader'])
    assert.match(
      (await examined(t)).of('login.roles').join(),
      /failed.*reader -> give the service's user the role member/
    )
    await withRoles(t, everyone.tenantA, ['service'])
    const { projectId } = everyone.tenantA
    assert.match((await examined(t, {}, [projectId])).of(`hand-over.project ${projectId}`).join(), /warning.*service/)
  })

  it("sees that the service's user is an admin in the pool's project, to whom Cinder shows every project's", async t => {
    await withPoolRole(t, everyone, 'admin')
    const findings = await examined(t)
    assert.match(
      findings.of('login.roles').join(),
      /warning.*admin.* -> give the service's user the role member there instead/
    )
    assert.deepEqual(findings.with('failed'), [])
  })

  it.for([
    ['volumes', 3],
    ['gigabytes', 3],
    ['volumes_ceph-ssd', 2],
    ['gigabytes_ceph-ssd', 3]
  ] as const)('sees that the quota of %s has no room for the targets', async ([resource, room], t) => {
    const { quota_set: quota } = await everyone.pool.get(`/os-quota-sets/${everyone.pool.projectId}?usage=true`)
    const limit = quota[resource].in_use + room
    await limited(t, everyone.pool, { [resource]: limit })
    const findings = await examined(t)
    assert.match(findings.of('pools.quota').join(), new RegExp(`failed.*quota of ${resource} by ${4 - room}`))
  })

  it('sees a budget that is too small, and a time limit that is too short', async t => {
    const limits = await examined(t, { limits: { budget_gib: 2 } })
    assert.match(limits.of('pools.budget').join(), /warning.*is 2; the targets need 4 GiB/)
    const hasty = await examined(t, await openstack(t, {}, { timeout_seconds: 30 }))
    assert.match(hasty.of('configuration.timeout').join(), /warning.*is 30 -> raise it above 60/)
  })

  it('names snapshots that nearly fit, and those that do and cannot be used', async t => {
    await aSnapshot(t, 'rocky9-ssd-1')
    assert.match(
      (await examined(t, asPool('rocky9'))).of('pools.image rocky9 ssd').join(),
      /failed.*rocky9-ssd-1 \(name matches .* only with "_"/
    )
    const id = await aSnapshot(t, 'alma9_ssd_1')
    await everyone.admin.call('POST', `/snapshots/${id}/action`, { 'os-reset_status': { status: 'error' } })
    const broken = await examined(t, asPool('alma9'))
    assert.match(broken.of('pools.unused-snapshot').join(), /warning: "alma9_ssd_1" is not used/)
    assert.equal(broken.of('pools.image alma9 ssd')[0], 'failed')
  })

  it('sees that a pool asks for disks smaller than its snapshot', async t => {
    await aSnapshot(t, 'wide_ssd_1', 2)
    const findings = await examined(t, asPool('wide', { size: 1 }))
    assert.match(
      findings.of('pools.image wide ssd').join(),
      /warning.*cannot be smaller than its snapshot: raise size to 2/
    )
  })

  it('sees volumes of the deployment that the database does not know, and those that failed', async t => {
    const changes = { deployment: 'left-behind' }
    const metadata = { spare_pool: 'left-behind', spare_id: 'x' }
    const { id } = await everyone.pool.create({ name: 'spare-x', volume_type: 'ceph-ssd', metadata })
    await settled(everyone.pool, 'volume', id)
    t.onTestFinished(() => sweep(everyone.admin))
    assert.match(
      (await examined(t, changes)).of('pools.volumes').join(),
      /warning.*1 available; the database knows none/
    )
    await everyone.admin.action(id, 'os-reset_status', { status: 'error_deleting' })
    assert.match((await examined(t, changes)).of('pools.volumes').join(), /warning.*1 error_deleting/)
  })

  it('sees projects that disks cannot go to', async t => {
    const { tenantB } = everyone
    const refused = await examined(t, {}, ['0'.repeat(32)])
    assert.match(refused.of(`hand-over.project ${'0'.repeat(32)}`).join(), /failed.*cannot log in there.*401/)
    await limited(t, tenantB, { volumes: 0 })
    const full = await examined(t, {}, [tenantB.projectId])
    assert.match(full.of(`hand-over.project ${tenantB.projectId}`).join(), /warning.*quota of volumes is used up/)
  })

  it('sees that the database is down, and looks at the cloud all the same', async t => {
    const findings = await examined(t, { database: { url: 'postgres://pool:hunter2@127.0.0.1:1/pool' } })
    assert.deepEqual(findings.with('failed'), ['database.connection'])
    assert.equal(findings.of('pools.image debian12 ssd')[0], 'ok')
  })
})
