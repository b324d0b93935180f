/** What tests do to the cloud behind the service's back, and what they count. */
import assert from 'node:assert/strict'
import type { Volume } from '../../sandbox/model.ts'
import type { TestService } from './service.ts'

/** A token of one of the sandbox's users. */
export async function loginAs(service: TestService, user: string, project: string): Promise<string> {
  const identity = {
    methods: ['password'],
    password: { user: { name: user, domain: { id: 'default' }, password: 'sandbox' } }
  }
  const answer = await fetch(`${service.sandbox.authUrl}/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity, scope: { project: { name: project, domain: { id: 'default' } } } } })
  })
  return answer.headers.get('x-subject-token') ?? ''
}

/** A volume that somebody else made, which boots unless it is said to be blank. */
export async function makeVolume(
  service: TestService,
  name: string,
  project = 'tenant-a',
  bootable = true
): Promise<string> {
  const token = await loginAs(service, 'pool-svc', project)
  const answer = await fetch(`${service.sandbox.url}/volume/v3/${service.project(project)}/volumes`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-auth-token': token },
    body: JSON.stringify({ volume: { name, size: 3 } })
  })
  const { volume } = (await answer.json()) as { volume: { id: string } }
  service.sandbox.cloud.volumes.change(volumeIn(service, volume.id), { bootable })
  return volume.id
}

export function volumeIn(service: TestService, id: string): Volume {
  const volume = service.sandbox.cloud.volumes.get(id)
  assert.ok(volume)
  return volume
}

export function setStatus(service: TestService, id: string, status: string): void {
  service.sandbox.cloud.volumes.change(volumeIn(service, id), { status })
}

/** How many requests the service has sent to the cloud, by operation, whatever came of them. */
export async function cloudRequests(service: TestService): Promise<Map<string, number>> {
  const { body } = await service.call<string>('GET', '/metrics')
  const lines = [...body.matchAll(/spare_pool_cloud_requests_total\{.*operation="(\w+)".*\} (\d+)/g)]
  const counts = new Map<string, number>()
  for (const [, operation = '', count] of lines) counts.set(operation, (counts.get(operation) ?? 0) + Number(count))
  return counts
}

/** Counts the service's statements from now on: on all of its connections, or those of its requests or its ticks alone. */
export function countStatements({ service }: TestService, of = [service.db, service.tickDb]): () => number {
  let count = 0
  for (const { client } of of) {
    const acquire = client.acquireConnection.bind(client)
    client.acquireConnection = async (...args: unknown[]) => {
      count += 1
      return await acquire(...args)
    }
  }
  return () => count
}
