import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Finding } from '../../src/pool/examination.ts'
import { aConfigFile, runCommand } from '../support/command-line.ts'
import { aPatient, Findings } from '../support/patient.ts'

describe('spare-pool doctor', () => {
  it('prints a line for each check and exits with 0 when all would work', async t => {
    const patient = await aPatient(t)
    const { code, stdout, stderr } = await runCommand(t, ['doctor', '--config', aConfigFile(t, patient.document())])
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^CHECK +RESULT +FOUND, AND WHAT TO DO$/m)
    assert.match(stdout, /^database +ok +PostgreSQL/m)
    assert.match(stdout, /^image debian12 ssd +ok +version 20261101/m)
    assert.match(stdout, /^0 failed, 0 warnings, 0 skipped$/m)
  })

  it('exits with 1 when something would not, and says so in JSON too', async t => {
    const patient = await aPatient(t)
    const file = aConfigFile(t, patient.document({ pools: [{ os: 'rocky9', type: 'ssd', target: 1 }] }))
    const project = patient.project('tenant-a')
    const { code, stdout } = await runCommand(t, [
      'doctor',
      '-c',
      file,
      '--json',
      '--project-id',
      project,
      '--project-id',
      'no'
    ])
    assert.equal(code, 1)
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] }
    assert.equal(ok, false)
    assert.deepEqual(new Findings(findings).verdicts('failed'), ['image rocky9 ssd', 'project no'])
    assert.equal(new Findings(findings).of(`project ${project}`)[0], 'ok')
  })

  it('exits with 2, and looks at nothing, when the configuration itself is wrong', async t => {
    const file = aConfigFile(t, { ticks: { replenish: 'never' } })
    const { code, stdout, stderr } = await runCommand(t, ['doctor', '-c', file])
    assert.deepEqual([code, stdout], [2, ''])
    for (const path of ['database:', 'ticks.replenish:', 'openstack.auth.auth_url'])
      assert.ok(stderr.includes(path), stderr)
  })
})
