import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { CloudOptions } from '../../sandbox/cloud.ts'
import type { User } from '../../sandbox/model.ts'
import type { SeededCloud } from '../../sandbox/seed.ts'
import { poolLogin } from '../../sandbox/seed.ts'
import { startSandbox } from '../../sandbox/server.ts'
import { systemClock } from '../../src/clock.ts'
import { parseConfig } from '../../src/config/config.ts'
import { type Examination, examineConfig } from '../../src/doctor/doctor.ts'
import type { Finding, Outcome } from '../../src/doctor/finding.ts'
import type { Clock } from '../../src/pool/ports.ts'
import { aFolder } from './command-line.ts'
import { aDatabaseAddress, type Lifetime } from './database.ts'

export interface Patient {
  readonly cloud: SeededCloud
  readonly folder: string
  readonly databaseUrl: string
  /** The configuration, with sections that differ. */
  document(changes?: Readonly<Record<string, object | string>>): Record<string, unknown>
  auth(changes?: Readonly<Record<string, string>>): object
  /** `machine`: the clock of the machine that doctor runs on. */
  examine(
    changes?: Readonly<Record<string, object | string>>,
    projectIds?: readonly string[],
    machine?: Clock
  ): Promise<Findings>
  project(name: string): string
  user(name: string): User
}

export class Findings {
  readonly all: readonly Finding[]
  readonly cinder: Examination['cinder']

  constructor({ findings, cinder }: Examination) {
    this.all = findings
    this.cinder = cinder
  }

  /** What a check says. Its name is its id, then after a blank its pool or project. */
  of(check: string): [result: Outcome['result'] | undefined, words: string] {
    const found = this.all.filter(finding => nameOf(finding) === check)
    return [found[0]?.result, found.map(one => `${one.result}: ${one.found} -> ${one.advice}`).join('\n')]
  }

  with(result: Outcome['result']): string[] {
    return this.all.filter(finding => finding.result === result).map(nameOf)
  }
}

const nameOf = ({ id, os, type, projectId }: Finding): string =>
  [id, os, type, projectId].filter(part => part !== undefined).join(' ')

/** A service's surroundings in which nothing is amiss. */
export async function aPatient(
  t: Lifetime,
  clock: Clock = systemClock,
  options: Partial<CloudOptions> = {}
): Promise<Patient> {
  const sandbox = await startSandbox({ clock, delays: 'none', ...options })
  t.onTestFinished(() => sandbox.close())
  const { url: databaseUrl } = await aDatabaseAddress(t)
  const folder = aFolder(t)
  const auth: Patient['auth'] = changes => ({ ...poolLogin(sandbox.authUrl), ...changes })
  const document: Patient['document'] = changes => ({
    database: { url: databaseUrl },
    secret_file: join(folder, 'secret'),
    openstack: { auth: auth() },
    pools: [
      { os: 'debian12', type: 'ssd', target: 5 },
      { os: 'windows2022', type: 'ssd', target: 2, size: 50 }
    ],
    ...changes
  })
  const named = <T extends { name: string }>(all: Iterable<T>, name: string): T => {
    const found = [...all].find(one => one.name === name)
    assert.ok(found, `there is no ${name}`)
    return found
  }
  const { cloud } = sandbox
  return {
    cloud,
    folder,
    databaseUrl,
    document,
    auth,
    project: name => named(cloud.projects.values(), name).id,
    user: name => named(cloud.users.values(), name),
    async examine(changes = {}, projectIds = [], machine = systemClock) {
      const config = parseConfig(document(changes), {}, 'the test')
      return new Findings(await examineConfig({ config, env: {}, projectIds, clock: machine }))
    }
  }
}

/** Volumes as a service of that deployment has them. */
export async function makeSpares(patient: Patient, count: number, deployment: string): Promise<void> {
  const { auth_url: authUrl } = patient.auth() as { auth_url: string }
  const url = authUrl.replace(/\/identity.*$/, '')
  const user = { name: 'pool-svc', password: 'sandbox', domain: { id: 'default' } }
  const scope = { project: { name: 'pool', domain: { id: 'default' } } }
  const headers = { 'content-type': 'application/json', 'openstack-api-version': 'volume 3.0' }
  const body = JSON.stringify({ auth: { identity: { methods: ['password'], password: { user } }, scope } })
  const login = await fetch(`${authUrl}/auth/tokens`, { method: 'POST', headers, body })
  const token = login.headers.get('x-subject-token') ?? ''
  const snapshot = [...patient.cloud.snapshots.values()].find(({ name }) => name === 'debian12_ssd_20261101')
  for (let number = 1; number <= count; number += 1) {
    const metadata = { spare_pool: deployment, spare_id: String(number) }
    const volume = { name: `spare-${number}`, snapshot_id: snapshot?.id, size: 20, metadata }
    const made = await fetch(`${url}/volume/v3/${patient.project('pool')}/volumes`, {
      method: 'POST',
      headers: { ...headers, 'x-auth-token': token },
      body: JSON.stringify({ volume })
    })
    assert.equal(made.status, 202)
  }
}

/** Has all spares wait in transfers; the list of transfers leaves out so many of them. */
export function armSpares(patient: Patient, unlisted: number): void {
  const { cloud } = patient
  const spares = [...cloud.volumes.of()].filter(({ metadata }) => 'spare_id' in metadata)
  for (const [index, volume] of spares.entries()) {
    cloud.volumes.change(volume, { status: 'awaiting-transfer' })
    if (index < unlisted) continue
    const transfer = { id: cloud.random.uuid(), volumeId: volume.id, name: 'spare', authKey: 'x', noSnapshots: true }
    cloud.transfers.add({ ...transfer, sourceProjectId: patient.project('pool'), createdAt: cloud.now() })
  }
}
