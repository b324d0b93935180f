/** Who calls a service in access mode keystone, in the sandbox’s Keystone. */
import assert from 'node:assert/strict'
import { loginAs } from './cloud.ts'
import type { TestService } from './service.ts'

/** The header of a user with certain roles in a project, and no others. */
export async function as(service: TestService, project: string, ...roles: string[]): Promise<Record<string, string>> {
  const user = [...service.sandbox.cloud.users.values()].find(({ name }) => name === 'tenant-b-user')
  assert.ok(user)
  user.roles.set(service.project(project), new Set(roles))
  return { 'x-auth-token': await loginAs(service, user.name, project) }
}

/** Fills the pools of a service that asks for a token. */
export async function fillAs(service: TestService, headers: Record<string, string>): Promise<void> {
  await service.call('POST', '/pool/replenish', undefined, headers)
  service.clock.pass(30)
  await service.call('POST', '/pool/check', undefined, headers)
}
