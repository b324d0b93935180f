import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'vitest'
import { CHECK_IDS } from '../../src/doctor/finding.ts'
import { aConfigFile, runCommand } from '../support/command-line.ts'
import { aPatient } from '../support/patient.ts'

interface Result {
  readonly ok: boolean
  readonly release: Readonly<Record<'name' | 'microversion_max' | 'microversion', string>> | null
  readonly checks: readonly Readonly<
    Record<'id' | 'group' | 'verdict' | 'found' | 'advice', string> &
      Partial<Record<'os' | 'type' | 'project_id' | 'snapshot_id', string>>
  >[]
}

const OPERATIONS = new URL('../../docs/operations.md', import.meta.url)

/** The table in docs/operations.md: each id, and its group, which is what stands in the id before the dot. */
function documentedChecks(): [id: string, group: string][] {
  const [, section = ''] = /\n## Checks of `doctor`\n([\s\S]*?)\n## /.exec(readFileSync(OPERATIONS, 'utf8')) ?? []
  return [...section.matchAll(/^\| `(([a-z-]+)\.[a-z-]+)` \|/gm)].map(([, id = '', group = '']) => [id, group])
}

describe('spare-pool doctor', () => {
  it('prints a line for each check and exits with 0 when all would work', async t => {
    const patient = await aPatient(t)
    const { code, stdout, stderr } = await runCommand(t, ['doctor', '--config', aConfigFile(t, patient.document())])
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^CHECK +RESULT +FOUND, AND WHAT TO DO$/m)
    assert.match(stdout, /^database\.connection +ok +PostgreSQL/m)
    assert.match(stdout, /^pools\.image debian12 ssd +ok +version 20261101/m)
    // An empty line stands before each group, and before the last line.
    const firsts = [...stdout.matchAll(/\n\n([a-z-]+)\./g)].map(([, group]) => group)
    assert.deepEqual(firsts, ['database', 'login', 'cloud', 'pools', 'hand-over'])
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
    const { ok, release, checks } = JSON.parse(stdout) as Result
    assert.equal(ok, false)
    assert.deepEqual(Object.keys(release ?? {}), ['name', 'microversion_max', 'microversion'])
    assert.equal(release?.microversion, '3.60')
    const bad = checks.filter(({ verdict }) => verdict === 'failed')
    const [image, quota, no] = bad
    assert.deepEqual(
      { ...image, advice: typeof image?.advice },
      {
        id: 'pools.image',
        group: 'pools',
        os: 'rocky9',
        type: 'ssd',
        verdict: 'failed',
        found: 'no image',
        advice: 'string'
      }
    )
    assert.deepEqual(
      [quota?.id, quota?.project_id, quota?.group, no],
      ['hand-over.project', 'no', 'hand-over', undefined]
    )
    const other = checks.find(({ project_id }) => project_id === project)
    assert.equal(other?.verdict, 'ok')
  })

  it('gives each check a group, and an id that is written down and tells it from all others', async t => {
    const patient = await aPatient(t)
    patient.cloud.addSnapshot({ name: 'rocky9-ssd-20261101' })
    const args = ['--json', '--project-id', patient.project('tenant-a'), '--project-id', patient.project('tenant-b')]
    const { stdout } = await runCommand(t, ['doctor', '-c', aConfigFile(t, patient.document()), ...args])
    const { checks } = JSON.parse(stdout) as Result
    const known = new Map(documentedChecks())
    for (const { id, group } of checks)
      assert.equal(known.get(id), group, `${id} of group ${group} is not in docs/operations.md`)
    assert.deepEqual([...known.keys()], CHECK_IDS)
    const names = checks.map(({ id, os, type, project_id, snapshot_id }) =>
      [id, os, type, project_id, snapshot_id].join(' ')
    )
    assert.equal(new Set(names).size, names.length)
  })

  it('says in JSON what is wrong with a configuration, and nothing else anywhere', async t => {
    const file = aConfigFile(t, { ticks: { replenish: 'never' } })
    const { code, stdout, stderr } = await runCommand(t, ['doctor', '-c', file, '--json'])
    assert.deepEqual([code, stderr], [2, ''])
    const { ok, release, checks } = JSON.parse(stdout) as Result
    assert.deepEqual([ok, release], [false, null])
    for (const { id, group, verdict } of checks) {
      assert.deepEqual([id, group, verdict], ['configuration.file', 'configuration', 'failed'])
    }
    for (const path of ['database', 'ticks.replenish', 'openstack.auth.auth_url'])
      assert.ok(
        checks.some(({ found }) => found.startsWith(path)),
        stdout
      )
  })

  it('exits with 2, and looks at nothing, when the configuration itself is wrong', async t => {
    const file = aConfigFile(t, { ticks: { replenish: 'never' } })
    const { code, stdout, stderr } = await runCommand(t, ['doctor', '-c', file])
    assert.deepEqual([code, stdout], [2, ''])
    for (const path of ['database:', 'ticks.replenish:', 'openstack.auth.auth_url'])
      assert.ok(stderr.includes(path), stderr)
  })
})
