import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'vitest'
import { setQuota } from '../../sandbox/quotas.ts'
import { addType } from '../../sandbox/seed.ts'
import { systemClock } from '../../src/clock.ts'
import { judgeDatabaseClock, readClock } from '../../src/doctor/clocks.ts'
import { CHECK_IDS, GROUPS, groupOf } from '../../src/doctor/finding.ts'
import { openDatabase, runScript } from '../../src/store/connection/database.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { OwnClock } from '../support/own-clock.ts'
import { aPatient, makeSpares } from '../support/patient.ts'

const NOWHERE = 'http://127.0.0.1:1'

async function aServerAnswering(t: TestContext, status: number, body: object): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.onTestFinished(async () => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function changeDatabase(url: string, sql: string): Promise<void> {
  const db = openDatabase({ url })
  await runScript(db, sql)
  await db.destroy()
}

describe('doctor', () => {
  it('finds nothing to do where all is well', async t => {
    const patient = await aPatient(t)
    const before = patient.cloud.journal.after(0).length
    const findings = await patient.examine()
    assert.deepEqual(
      findings.all.filter(({ result }) => result !== 'ok'),
      []
    )
    assert.match(findings.of('database.connection')[1], /PostgreSQL \d+/)
    assert.match(findings.of('database.migrations')[1], /all have run/)
    assert.match(findings.of('login.keystone')[1], new RegExp(patient.project('pool')))
    assert.match(findings.of('cloud.release')[1], /^ok: \S.* \(microversions up to 3\.\d+; 3\.60 is asked\)/)
    assert.equal(findings.cinder?.askedMinor, 60)
    assert.match(findings.of('database.clock')[1], /not more than 5 s apart/)
    assert.match(findings.of('login.clock')[1], /not more than 5 s apart/)
    assert.match(
      findings.of('pools.image debian12 ssd')[1],
      /version 20261101, 20 GiB of ceph-ssd, .*debian12_ssd_20261101/
    )
    assert.match(findings.of('pools.quota')[1], /7 volumes of 200 GiB/)
    assert.match(findings.of('hand-over.reach')[1], /ahead of time.*tenant-a .*tenant-b/)
    const groups = findings.all.map(({ id }) => groupOf(id))
    assert.deepEqual(
      groups.toSorted((a, b) => GROUPS.indexOf(a) - GROUPS.indexOf(b)),
      groups
    )
    assert.deepEqual([...new Set(groups)], GROUPS)
    assert.equal(patient.cloud.journal.after(0).length, before, 'it changed something in the cloud')
    assert.equal(existsSync(join(patient.folder, 'secret')), false, 'it made a secret')
  })

  it('goes on to the cloud when the database is down', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ database: { url: 'postgres://pool:hunter2@127.0.0.1:1/pool' } })
    assert.deepEqual(findings.with('failed'), ['database.connection'])
    assert.match(findings.of('database.connection')[1], /ECONNREFUSED.* -> .*start it, or correct database\.url/)
    assert.doesNotMatch(JSON.stringify(findings.all), /hunter2/)
  })

  it('names migrations that have not run, and runs none', async t => {
    const patient = await aPatient(t)
    await changeDatabase(patient.databaseUrl, 'drop schema public cascade; create schema public')
    for (let times = 0; times < 2; times += 1) {
      const [result, words] = (await patient.examine()).of('database.migrations')
      assert.equal(result, 'warning')
      assert.match(words, /0001-\w+.* -> run `spare-pool migrate`/)
    }
  })

  it('sees a database that a newer version has migrated', async t => {
    const patient = await aPatient(t)
    await changeDatabase(patient.databaseUrl, "insert into schema_migrations values ('9999-new', 'x', '2026-11-01')")
    const [result, words] = (await patient.examine()).of('database.migrations')
    assert.equal(result, 'failed')
    assert.match(words, /9999-new.*newer version/)
  })

  it('leaves an embedded database that is not there yet to the first start', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ database: { embedded: { data_dir: join(patient.folder, 'data') } } })
    assert.match(findings.of('database.connection').join(), /ok.*does not exist yet/)
    assert.equal(existsSync(join(patient.folder, 'data')), false)
  })

  it('says what a refused login may come from, and which checks it keeps from running', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ openstack: { auth: patient.auth({ password: 'hunter2' }) } })
    assert.deepEqual(findings.with('failed'), ['login.keystone'])
    assert.match(findings.of('login.keystone')[1], /401.* -> check user, password, project and domains/)
    const afterLogin = CHECK_IDS.slice(CHECK_IDS.indexOf('login.keystone') + 1)
    const ids = new Set(findings.all.flatMap(({ id, result }) => (result === 'skipped' ? [id] : [])))
    const onlyWhereFound = ['pools.unused-snapshot', 'hand-over.project']
    assert.deepEqual(
      [...ids],
      afterLogin.filter(id => !onlyWhereFound.includes(id))
    )
    assert.ok(findings.with('skipped').includes('pools.image windows2022 ssd'))
    assert.equal(findings.cinder, undefined)
    assert.match(findings.of('pools.quota')[1], /the login failed/)
    assert.doesNotMatch(JSON.stringify(findings.all), /hunter2/)
  })

  it('sees that Keystone cannot be reached', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ openstack: { auth: patient.auth({ auth_url: `${NOWHERE}/v3` }) } })
    assert.match(findings.of('login.keystone').join(), /failed.*ECONNREFUSED.* -> check openstack\.auth\.auth_url/)
  })

  it('sees a user that may only read', async t => {
    const patient = await aPatient(t)
    patient.user('pool-svc').roles.set(patient.project('pool'), new Set(['reader']))
    const findings = await patient.examine()
    assert.deepEqual(findings.with('failed'), ['login.roles'])
    assert.match(findings.of('login.roles')[1], /reader -> give the service's user the role member/)
  })

  it('is not sure of roles that it does not know', async t => {
    const patient = await aPatient(t)
    patient.user('pool-svc').roles.set(patient.project('pool'), new Set(['service']))
    assert.match((await patient.examine()).of('login.roles').join(), /warning.*service -> see that Cinder's policy/)
  })

  it('sees a Cinder whose API is neither of those that the service speaks', async t => {
    const patient = await aPatient(t)
    const url = await aServerAnswering(t, 404, {})
    const findings = await patient.examine({
      openstack: { auth: patient.auth(), block_storage_endpoint_override: url }
    })
    assert.deepEqual(findings.with('failed'), ['cloud.release'])
    assert.match(findings.of('cloud.release')[1], /neither at http:\S+\/v3\/ nor at http:\S+\/v2\//)
    assert.match(findings.of('pools.volumes').join(), /skipped.*Cinder cannot be used/)
    assert.match(findings.of('cloud.flatten').join(), /skipped.*Cinder cannot be used/)
  })

  it('sees that Cinder cannot be reached, and still tells who may log in where', async t => {
    const patient = await aPatient(t)
    const override = { auth: patient.auth(), block_storage_endpoint_override: NOWHERE }
    const findings = await patient.examine({ openstack: override })
    assert.match(findings.of('cloud.release').join(), /failed.*ECONNREFUSED.* -> see that Cinder runs/)
    assert.equal(findings.of('hand-over.reach')[0], 'ok')
  })

  it('reads the rest when Cinder refuses one thing', async t => {
    const patient = await aPatient(t)
    patient.cloud.addFault({ operation: 'snapshot_list', kind: 'status', status: 403, message: 'Policy forbids it.' })
    const findings = await patient.examine()
    assert.match(findings.of('pools.snapshots').join(), /failed.*Policy forbids it.*the role member/)
    assert.equal(findings.of('pools.quota')[0], 'skipped')
    assert.equal(findings.of('pools.volumes')[0], 'ok')
  })
})

describe("doctor, of the project's quota", () => {
  it.for([
    ['volumes', 5, /7 volumes.* -> .*quota of volumes by 2/],
    ['gigabytes', 150, /200 GiB.* -> .*quota of gigabytes by 50/],
    ['gigabytes_ceph-ssd', 199, /quota of gigabytes_ceph-ssd by 1/]
  ] as const)('sees that room for %s of %i is too little', async ([resource, limit, words], t) => {
    const patient = await aPatient(t)
    const used = patient.cloud.usage.of(patient.project('pool'), resource)
    setQuota(patient.cloud, patient.project('pool'), resource, used + limit)
    const findings = await patient.examine()
    assert.deepEqual(findings.with('failed'), ['pools.quota'])
    assert.match(findings.of('pools.quota')[1], words)
  })

  it('counts what is there already', async t => {
    const patient = await aPatient(t)
    await makeSpares(patient, 4, 'default')
    setQuota(patient.cloud, patient.project('pool'), 'volumes', 3 + 7)
    const findings = await patient.examine()
    assert.match(findings.of('pools.quota').join(), /ok.*there are 4 of 80 GiB.*volumes 3,/)
    setQuota(patient.cloud, patient.project('pool'), 'volumes', 3 + 6)
    assert.match((await patient.examine()).of('pools.quota').join(), /failed.*of volumes by 1/)
  })

  it('fails where the quota is below the targets though the whole stock is there', async t => {
    const patient = await aPatient(t)
    await makeSpares(patient, 7, 'default')
    const pools = [{ os: 'debian12', type: 'ssd', target: 7 }]
    const all = 3 + 7
    setQuota(patient.cloud, patient.project('pool'), 'volumes', all)
    assert.match((await patient.examine({ pools })).of('pools.quota').join(), /ok.*there are 7 of 140 GiB.*volumes 0,/)
    setQuota(patient.cloud, patient.project('pool'), 'volumes', all - 2)
    const [result, words] = (await patient.examine({ pools })).of('pools.quota')
    assert.equal(result, 'failed')
    assert.match(words, /exceeded by 2.* -> .*quota of volumes by 2/)
  })

  it('lets the stock of a pool that is not wanted any more pass', async t => {
    const patient = await aPatient(t)
    await makeSpares(patient, 4, 'default')
    setQuota(patient.cloud, patient.project('pool'), 'volumes', 3 + 2)
    const pools = [{ os: 'debian12', type: 'ssd', target: 2 }]
    assert.equal((await patient.examine({ pools })).of('pools.quota')[0], 'ok')
    assert.equal((await patient.examine({ pools: [{ ...pools[0], target: 0 }] })).of('pools.quota')[0], 'ok')
  })

  it('fails where one disk alone is too large', async t => {
    const patient = await aPatient(t)
    setQuota(patient.cloud, patient.project('pool'), 'per_volume_gigabytes', 49)
    const findings = await patient.examine()
    assert.match(findings.of('pools.quota').join(), /failed.*quota of per_volume_gigabytes by 1,/)
    setQuota(patient.cloud, patient.project('pool'), 'per_volume_gigabytes', 50)
    assert.equal((await patient.examine()).of('pools.quota')[0], 'ok')
  })

  it('warns of a budget that the targets exceed', async t => {
    const patient = await aPatient(t)
    assert.equal((await patient.examine({ limits: { budget_gib: 200 } })).of('pools.budget')[0], 'ok')
    const [result, words] = (await patient.examine({ limits: { budget_gib: 199 } })).of('pools.budget')
    assert.equal(result, 'warning')
    assert.match(words, /199; the targets need 200 GiB -> raise limits\.budget_gib/)
  })
})

describe('doctor, of images', () => {
  it('names what there is instead of an image that is missing', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ pools: [{ os: 'rocky9', type: 'ssd', target: 1 }] })
    assert.deepEqual(findings.with('failed'), ['pools.image rocky9 ssd'])
    assert.match(findings.of('pools.image rocky9 ssd')[1], /reads as "rocky9" on "ssd"; there: .*debian12_ssd_20261101/)
    assert.match(findings.of('pools.quota')[1], /not counted, for want of an image: rocky9 ssd/)
  })

  it('refuses an image whose source volume is encrypted, and says what to do', async t => {
    const patient = await aPatient(t)
    addType(patient.cloud, 'luks', true, true)
    patient.cloud.addSnapshot({ name: 'vault_ssd_1', type: 'luks' })
    const pools = [{ os: 'vault', type: 'ssd', target: 1 }]
    const findings = await patient.examine({ pools })
    assert.deepEqual(findings.with('failed'), ['pools.unused-snapshot', 'pools.image vault ssd'])
    assert.match(findings.of('pools.image vault ssd')[1], /no image.*vault_ssd_1 \(its source volume is encrypted/)
    assert.match(
      findings.of('pools.unused-snapshot')[1],
      /failed: "vault_ssd_1" is not used.*encrypted.*without encryption/
    )
    const renamed = await patient.examine({ pools, claims: { handover: 'rename' } })
    assert.deepEqual(renamed.with('failed'), [])
  })

  it('does not take an image for missing whose source volume could not be read', async t => {
    const patient = await aPatient(t)
    patient.cloud.addFault({ operation: 'volume_show', kind: 'status', status: 400, count: 1, message: 'not now' })
    const findings = await patient.examine()
    assert.deepEqual(findings.with('failed'), ['pools.snapshots'])
    assert.match(findings.of('pools.snapshots')[1], /not now/)
  })

  it.for([
    ['that the naming rule would choose too', 'debian12_ssd_20261101'],
    ['under a name that the rule does not match', 'golden image of a friend']
  ] as const)('refuses one that table os has all the same, %s', async ([, name], t) => {
    const patient = await aPatient(t)
    addType(patient.cloud, 'luks', true, true)
    const type = [...patient.cloud.types.values()].find(one => one.name === 'luks')
    const [snapshot] = [...patient.cloud.snapshots.values()].filter(one => one.name === name)
    const { id, volumeId } = snapshot ?? patient.cloud.addSnapshot({ name })
    const source = patient.cloud.volumes.get(volumeId)
    assert.ok(type && source)
    patient.cloud.volumes.change(source, { type })
    await changeDatabase(
      patient.databaseUrl,
      `insert into os select gen_random_uuid(), 'debian12', 'ssd', '${id}', '{}', '${volumeId}', 'luks', 20, '20261101', now(), now()`
    )
    const findings = await patient.examine()
    const [result, words] = findings.of('pools.image debian12 ssd')
    assert.equal(result, 'failed')
    assert.match(words, /encrypted -> .*run `spare-pool sync`/)
    assert.equal(findings.of('pools.image windows2022 ssd')[0], 'ok')
  })

  it('names a snapshot that nearly fits', async t => {
    const patient = await aPatient(t)
    for (const name of ['rocky9-ssd-20261101', 'Rocky9_SSD_20261101', 'notes']) patient.cloud.addSnapshot({ name })
    const findings = await patient.examine({ pools: [{ os: 'rocky9', type: 'ssd', target: 1 }] })
    assert.match(
      findings.of('pools.image rocky9 ssd').join(),
      /failed.*mend what nearly fits: rocky9-ssd-20261101 \(.*"_" in place of "-"/
    )
    assert.match(findings.of('pools.snapshots')[1], /3 of 6 snapshots match/)
    const [, words] = findings.of('pools.unused-snapshot')
    assert.match(words, /warning: "rocky9-ssd-20261101" is not used/)
    assert.match(words, /warning: "Rocky9_SSD_20261101" is not used: .*case/)
    assert.doesNotMatch(words, /notes/)
  })

  it('knows an os that is written in another case', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ pools: [{ os: 'Debian12', type: 'ssd', target: 1 }] })
    assert.match(findings.of('pools.image Debian12 ssd').join(), /failed.*write "debian12" in pools/)
  })

  it('warns of a snapshot that is not available, and fails where no other is there', async t => {
    const patient = await aPatient(t)
    for (const snapshot of patient.cloud.snapshots.values()) snapshot.status = 'error'
    const findings = await patient.examine()
    assert.deepEqual(findings.with('failed'), ['pools.image debian12 ssd', 'pools.image windows2022 ssd'])
    assert.match(
      findings.of('pools.unused-snapshot')[1],
      /warning: "debian12_ssd_20261101" is not used: snapshot is error/
    )
  })

  it('is silent of older snapshots', async t => {
    const patient = await aPatient(t)
    patient.cloud.addSnapshot({ name: 'debian12_ssd_20251101' })
    assert.deepEqual((await patient.examine()).with('warning'), [])
  })

  it('sees a source volume that cannot be read', async t => {
    const patient = await aPatient(t)
    for (const { name, volumeId } of patient.cloud.snapshots.values()) {
      const golden = patient.cloud.volumes.get(volumeId)
      if (golden && name === 'debian12_ssd_20261101') patient.cloud.volumes.remove(golden)
    }
    const findings = await patient.examine()
    assert.match(findings.of('pools.image debian12 ssd').join(), /failed.*its source volume cannot be read/)
  })

  it('warns of a size below the snapshot', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ pools: [{ os: 'windows2022', type: 'ssd', target: 1, size: 10 }] })
    assert.match(findings.of('pools.image windows2022 ssd').join(), /warning.*size of 10 GiB -> .*raise size to 40/)
  })

  it('wants a sync where table os is the only source and does not know the image', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ images: { source: 'os_table' } })
    assert.match(findings.of('pools.image debian12 ssd').join(), /failed.*run `spare-pool sync`/)
    const blind = await patient.examine({
      images: { source: 'os_table' },
      database: { url: 'postgres://127.0.0.1:1/x' }
    })
    assert.match(blind.of('pools.image debian12 ssd').join(), /skipped.*table os could not be read/)
  })

  it.for([
    ['old', /warning.*version 20261001.*Cinder has a newer one, version 20261101 -> run `spare-pool sync`/],
    ['gone', /failed.*version 20261001.*no longer there -> run `spare-pool sync`/]
  ] as const)('compares table os with Cinder, where the snapshot is %s', async ([state, words], t) => {
    const patient = await aPatient(t)
    const old = patient.cloud.addSnapshot({ name: `debian12_ssd_20261001` })
    await changeDatabase(
      patient.databaseUrl,
      `insert into os (id, name, type, snapshot_id, volume_id, volume_type, size, version, created_at, updated_at)
       values ('${old.id}', 'debian12', 'ssd', '${old.id}', '${old.volumeId}', 'ceph-ssd', 20, '20261001', now(), now())`
    )
    if (state === 'gone') patient.cloud.snapshots.delete(old.id)
    assert.match((await patient.examine()).of('pools.image debian12 ssd').join(), words)
  })
})

describe('doctor, of where disks go', () => {
  it('tries the projects that it is given', async t => {
    const patient = await aPatient(t)
    const [a, b] = [patient.project('tenant-a'), patient.project('tenant-b')]
    patient.user('pool-svc').roles.delete(a)
    patient.user('pool-svc').roles.set(b, new Set(['reader']))
    const findings = await patient.examine({}, [a, b, patient.project('pool')])
    assert.deepEqual(findings.with('failed'), [`hand-over.project ${a}`, `hand-over.project ${b}`])
    assert.match(findings.of(`hand-over.project ${a}`)[1], /cannot log in there.* -> give .*--project [0-9a-f]+ member/)
    assert.match(findings.of(`hand-over.project ${b}`)[1], /reader -> give the service's user the role member/)
    assert.match(findings.of(`hand-over.project ${patient.project('pool')}`).join(), /ok.*only renames/)
  })

  it('warns of a project whose own quota is used up', async t => {
    const patient = await aPatient(t)
    const a = patient.project('tenant-a')
    assert.match((await patient.examine({}, [a])).of(`hand-over.project ${a}`).join(), /ok.*member; its quota has room/)
    setQuota(patient.cloud, a, 'volumes', 0)
    assert.match(
      (await patient.examine({}, [a])).of(`hand-over.project ${a}`).join(),
      /warning.*quota of volumes is used up/
    )
  })

  it("tries the projects of the configuration's own tokens", async t => {
    const patient = await aPatient(t)
    const a = patient.project('tenant-a')
    patient.user('pool-svc').roles.delete(a)
    const tokens = [{ name: 'a', sha256: 'a'.repeat(64), role: 'claimer', project_id: a }]
    const findings = await patient.examine({ access: { mode: 'token', tokens } })
    assert.deepEqual(findings.with('failed'), [`hand-over.project ${a}`])
  })

  it("relies on callers' own tokens only where they bring some", async t => {
    const patient = await aPatient(t)
    for (const name of ['tenant-a', 'tenant-b']) patient.user('pool-svc').roles.delete(patient.project(name))
    const [result, words] = (await patient.examine()).of('hand-over.reach')
    assert.equal(result, 'ok')
    assert.match(words, /no role outside.*callers' own Keystone tokens accept/)
    const findings = await patient.examine({ access: { mode: 'none' } })
    assert.match(findings.of('hand-over.reach').join(), /warning.*callers bring no Keystone token -> give/)
  })

  it('has nothing to accept where disks are only renamed', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ claims: { handover: 'rename' } }, ['anything'])
    assert.match(findings.of('hand-over.reach').join(), /ok.*only renames.*prearm has no effect/)
  })

  it('warns of volumes that the database does not know', async t => {
    const patient = await aPatient(t)
    await makeSpares(patient, 2, 'default')
    await makeSpares(patient, 1, 'another')
    const findings = await patient.examine()
    assert.match(
      findings.of('pools.volumes').join(),
      /warning.*2 volumes of deployment "default": 2 available; the database knows none/
    )
  })

  it('warns of a time limit below what Cinder itself takes', async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({ openstack: { auth: patient.auth(), timeout_seconds: 60 } })
    assert.match(findings.of('configuration.timeout').join(), /warning.*is 60 -> raise it above 60/)
  })
})

describe('doctor, of clocks', () => {
  it("tells how far the database's and Keystone's are from the machine's", async t => {
    const patient = await aPatient(t)
    const findings = await patient.examine({}, [], new OwnClock(systemClock, 3600))
    assert.deepEqual(findings.with('warning'), ['database.clock', 'login.clock'])
    const behind = /the database's clock is 3600 s behind this machine's -> set both machines by one time server/
    assert.match(findings.of('database.clock')[1], behind)
    assert.match(
      findings.of('login.clock')[1],
      /Keystone's clock is 360[01] s behind this machine's -> .*looked up anew/
    )
  })

  it("tells Keystone's apart from the database's", async t => {
    const patient = await aPatient(t, new OwnClock(systemClock, 60))
    const findings = await patient.examine()
    assert.deepEqual(findings.with('warning'), ['login.clock'])
    assert.match(
      findings.of('login.clock')[1],
      /Keystone's clock is (59|60) s ahead of this machine's -> .*five minutes/
    )
  })

  it('does not take a slow answer for a clock that is wrong', async () => {
    const clock = new ManualClock()
    const reading = await readClock(clock, async () => {
      clock.pass(20)
      const time = clock.now()
      clock.pass(20)
      return time
    })
    assert.equal(judgeDatabaseClock(reading).result, 'ok')
    const set = await readClock(clock, async () => {
      clock.jump(-7200) // The machine's own clock is set back meanwhile: how long the answer took does not go by it.
      clock.pass(1)
      return new Date(clock.now().getTime() + 7_200_000)
    })
    assert.equal(judgeDatabaseClock(set).result, 'ok')
  })
})
