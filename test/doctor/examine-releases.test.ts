import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Release } from '../../sandbox/releases.ts'
import { addType } from '../../sandbox/seed.ts'
import { systemClock } from '../../src/clock.ts'
import { aPatient, armSpares, makeSpares } from '../support/patient.ts'

/** Each with how it is named, and what it makes doctor warn of where there is nothing else amiss. */
const RELEASES: readonly (readonly [Release, words: RegExp, warnings: readonly string[]])[] = [
  ['mitaka', /Mitaka \(microversions up to 3\.0; 3\.0 is asked\)/, ['cloud.flatten', 'cloud.double-accept']],
  ['newton', /Newton \(microversions up to 3\.15; 3\.15 is asked\)/, ['cloud.flatten', 'cloud.double-accept']],
  ['ocata', /Ocata \(microversions up to 3\.27; 3\.27 is asked\)/, []],
  ['queens', /Queens \(microversions up to 3\.50; 3\.50 is asked\)/, []],
  ['rocky', /Rocky \(microversions up to 3\.55; 3\.55 is asked\)/, []],
  ['train', /Stein or Train \(microversions up to 3\.59; 3\.59 is asked\)/, []],
  ['latest', /2024\.1 or newer \(microversions up to 3\.71; 3\.60 is asked\)/, []]
]

describe('doctor on another release of Cinder', () => {
  it.for(RELEASES)('names %s, and what an operator should know of it', async ([release, words, warnings], t) => {
    const patient = await aPatient(t, systemClock, { release })
    const findings = await patient.examine()
    assert.match(findings.of('cloud.release').join(), words)
    assert.deepEqual(findings.with('failed'), [])
    assert.deepEqual(findings.with('skipped'), [])
    assert.deepEqual(findings.with('warning'), warnings)
    assert.match(findings.of('pools.image debian12 ssd').join(), /20 GiB of ceph-ssd/)
  })

  it('says of Pike what becomes of encrypted disks, where there is an image of such', async t => {
    const patient = await aPatient(t, systemClock, { release: 'pike' })
    addType(patient.cloud, 'luks', true, true)
    patient.cloud.addSnapshot({ name: 'vault_ssd_1', type: 'luks' })
    const findings = await patient.examine()
    assert.deepEqual(findings.with('failed'), ['pools.unused-snapshot'])
    assert.deepEqual(findings.with('warning'), ['cloud.encryption'])
    assert.match(findings.of('cloud.encryption')[1], /without the key.*vault_ssd_1/)
  })

  it('lets the roles of an older cloud pass', async t => {
    const patient = await aPatient(t, systemClock, { release: 'queens', memberRole: '_member_' })
    const findings = await patient.examine({}, [patient.project('tenant-a')])
    assert.match(findings.of('login.roles').join(), /ok.*_member_/)
    assert.deepEqual(findings.with('warning'), [])
    patient.cloud.release = 'xena'
    assert.match((await patient.examine()).of('login.roles').join(), /warning.*_member_ -> see that Cinder's policy/)
  })

  it('names the images whose source volume has no type to be named, of a release that may take another', async t => {
    const patient = await aPatient(t, systemClock, { release: 'stein' })
    patient.cloud.addSnapshot({ name: 'plain_ssd_1', type: null })
    const findings = await patient.examine({ pools: [{ os: 'plain', type: 'ssd', target: 1 }] })
    assert.match(findings.of('pools.image plain ssd').join(), /20 GiB of no volume type/)
    assert.match(
      findings.of('cloud.default-type').join(),
      /warning.*source volume of plain ssd has none to name -> give/
    )
    assert.deepEqual(findings.with('failed'), [])
  })

  it('sees that armed spares are missing from a list that cannot be asked for in order', async t => {
    const patient = await aPatient(t, systemClock, { release: 'rocky' })
    await makeSpares(patient, 3, 'default')
    armSpares(patient, 0)
    assert.match((await patient.examine()).of('cloud.transfer-list').join(), /ok.*in no order/)
    const short = await aPatient(t, systemClock, { release: 'rocky' })
    await makeSpares(short, 3, 'default')
    armSpares(short, 1)
    const finding = (await short.examine()).of('cloud.transfer-list').join()
    assert.match(finding, /warning.*1 of 3 armed spares is missing from it.*osapi_max_limit in cinder\.conf raised/)
  })

  it('does not miss a spare in that list which a claim has taken meanwhile', async t => {
    const patient = await aPatient(t, systemClock, { release: 'rocky' })
    await makeSpares(patient, 3, 'default')
    armSpares(patient, 1)
    const { transfers, volumes } = patient.cloud
    const all = transfers.all.bind(transfers)
    transfers.all = () => {
      const listed = new Set([...all()].map(({ volumeId }) => volumeId))
      for (const volume of volumes.of()) {
        if (volume.status === 'awaiting-transfer' && !listed.has(volume.id))
          volumes.change(volume, { status: 'in-use' })
      }
      return all()
    }
    const finding = (await patient.examine()).of('cloud.transfer-list').join()
    assert.match(finding, /ok.*in no order/)
    assert.ok(
      [...volumes.of()].some(({ status }) => status === 'in-use'),
      'the list was not asked for'
    )
  })

  it('tells a microversion that the configuration pins', async t => {
    const patient = await aPatient(t)
    const openstack = { auth: patient.auth(), volume_api_version: '3.27' }
    await makeSpares(patient, 3, 'default')
    armSpares(patient, 0)
    const findings = await patient.examine({ openstack })
    assert.deepEqual(findings.with('failed'), [])
    assert.match(
      findings.of('cloud.release').join(),
      /ok.*up to 3\.71; 3\.27 is asked, as openstack\.volume_api_version/
    )
    assert.match(findings.of('cloud.transfer-list').join(), /ok.*with 3\.27 it ends with its first page/)
    const pools = [{ os: 'debian12', type: 'ssd', target: 1001 }]
    const many = (await patient.examine({ openstack, pools })).of('cloud.transfer-list').join()
    assert.match(many, /warning.*the targets want 1001.* -> take openstack\.volume_api_version out/)
  })

  it('sees how many armed spares lie beyond the end of a list that is cut', async t => {
    const patient = await aPatient(t, systemClock, { listMax: 2 })
    await makeSpares(patient, 5, 'default')
    armSpares(patient, 0)
    const findings = await patient.examine({ openstack: { auth: patient.auth(), volume_api_version: '3.27' } })
    assert.match(findings.of('cloud.transfer-list').join(), /warning.*3 of 5 armed spares are missing/)
    assert.match((await patient.examine()).of('cloud.transfer-list').join(), /ok.*in order/)
  })

  it('says that the release is not told where /v2 alone is served', async t => {
    const patient = await aPatient(t, systemClock, { release: 'queens', withoutV3: true })
    const findings = await patient.examine()
    assert.equal(findings.cinder?.askedMinor, undefined)
    assert.deepEqual(findings.with('failed'), [])
    assert.match(findings.of('cloud.release').join(), /warning.*only \/v2 is served/)
  })
})
