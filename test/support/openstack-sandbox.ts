import assert from 'node:assert/strict'
import type { FaultRule } from '../../sandbox/faults.ts'
import { cloudsYaml, type SandboxOptions, startSandbox } from '../../sandbox/server.ts'
import type { RequestReport } from '../../src/openstack/exchange.ts'
import { connect } from '../../src/openstack/openstack.ts'
import { cloudSettings } from '../../src/openstack/settings.ts'
import type { Call, Volume, VolumeFilter, Volumes } from '../../src/pool/ports.ts'
import { ManualClock } from './manual-clock.ts'
import type { Test } from './scripted-cloud.ts'

export const CALL: Call = { requestId: 'req-00000000-0000-4000-8000-000000000002' }
export const METADATA = { spare_pool: 'default', spare_id: 'one' }

/** A sandbox of its own for each test, and the client in it as one of its users. */
export async function aSandbox(
  t: Test,
  { user = 'pool-svc', ...options }: { user?: string } & Omit<SandboxOptions, 'clock'> = {}
) {
  const clock = new ManualClock()
  const sandbox = await startSandbox({ delays: 'none', clock, tokenSeconds: 3600, ...options })
  const files = { home: '/', read: (path: string) => (path === 'clouds.yaml' ? cloudsYaml(sandbox) : undefined) }
  const reports: RequestReport[] = []
  const notices: string[] = []
  const as = (user: string) => {
    const settings = cloudSettings({ cloud: user }, {}, files)
    const onNotice = (_fields: object, message: string) => void notices.push(message)
    const client = connect({ settings, clock, onRequest: report => void reports.push(report), onNotice })
    t.onTestFinished(() => client.close())
    return client
  }
  t.onTestFinished(() => sandbox.close())
  const client = as(user)
  const pool = await client.poolProject(CALL)
  const projectId = (name: string) => [...sandbox.cloud.projects.values()].find(p => p.name === name)?.id ?? name
  const count = (operation: string) => reports.filter(report => report.operation === operation).length
  const fault = (rule: FaultRule) => sandbox.cloud.addFault({ count: 1, ...rule })
  const snapshot = [...sandbox.cloud.snapshots.values()].find(({ name }) => name === 'debian12_ssd_20261101')
  assert.ok(snapshot)
  const spare = (name = 'spare-1', metadata: Record<string, string> = METADATA) =>
    pool.volumes.create({ name, snapshotId: snapshot.id, sizeGib: 20, volumeType: 'ceph-ssd', metadata }, CALL)
  return { sandbox, cloud: sandbox.cloud, clock, client, as, pool, projectId, count, notices, fault, spare, snapshot }
}

/** All pages. */
export async function listed(volumes: Volumes, filter: VolumeFilter = {}): Promise<Volume[]> {
  const all: Volume[] = []
  for await (const page of volumes.pages(filter, CALL)) all.push(...page)
  return all
}
