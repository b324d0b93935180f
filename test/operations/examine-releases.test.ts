import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Release } from '../../src/sandbox/releases.ts'
import { aPatient, armSpares, makeSpares } from '../support/patient.ts'

/** Each with how it is named, and what it makes doctor warn of where there is nothing else amiss. */
const RELEASES: readonly (readonly [Release, words: RegExp, warnings: readonly string[]])[] = [
  ['rocky', /Rocky \(microversions up to 3\.55; 3\.55 is asked\)/, []],
  ['train', /Stein or Train \(microversions up to 3\.59; 3\.59 is asked\)/, []],
  ['latest', /2024\.1 or newer \(microversions up to 3\.71; 3\.60 is asked\)/, []]
]

describe('doctor on another release of Cinder', () => {
  it.for(RELEASES)('names %s, and what an operator should know of it', async ([release, words, warnings], t) => {
    const patient = await aPatient(t, systemClock, { release })
    const findings = await patient.examine()
    assert.match(findings.of('cloud.release').join(), words)
    assert.deepEqual(findings.verdicts('failed'), [])
    assert.deepEqual(findings.verdicts('skipped'), [])
    assert.deepEqual(findings.verdicts('warning'), warnings)
    assert.match(findings.of('pools.image debian12 ssd').join(), /20 GiB of ceph-ssd/)
  })

  it('lets the roles of an older cloud pass', async t => {
    const patient = await aPatient(t, systemClock, { release: 'rocky', memberRole: '_member_' })
    const findings = await patient.examine({}, [patient.project('tenant-a')])
    assert.match(findings.of('login.roles').join(), /ok.*_member_/)
    assert.deepEqual(findings.verdicts('warning'), [])
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
    assert.deepEqual(findings.verdicts('failed'), [])
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
})
