import { attachVolume } from '../../sandbox/volumes.ts'
import type { TestService } from './service.ts'

/** As an operator does who has found a volume in the pool's project and uses it for a server. */
export function attach(service: TestService, volumeId: string): void {
  const projectId = service.project('pool')
  const operator = { userId: 'operator', projectId, roles: ['admin'], requestId: 'req-operator' }
  attachVolume(service.sandbox.cloud, operator, volumeId, { serverId: null, hostName: 'host', device: '/dev/vdb' })
}
