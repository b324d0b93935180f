import type { FastifyInstance } from 'fastify'
import { changedDelays } from './delays.ts'
import { limitOf, resources } from './quotas.ts'
import { badRequest, keystoneBody, Refusal } from './refusal.ts'
import { delaysBody, faultBody } from './schemas.ts'
import type { SeededCloud } from './seed.ts'
import { time } from './views.ts'
import { restartVolumeService } from './volumes.ts'
import { answerErrors, type Method, type Request, send } from './wire.ts'

/** The sandbox's own side: look into the cloud, break it, and set it back. It asks nobody for a token. */
export function sandboxRoutes(app: FastifyInstance, cloud: () => SeededCloud, reset: () => void): void {
  answerErrors(app, keystoneBody)
  const route = (method: Method, url: string, status: number, act: (request: Request) => unknown): void => {
    app.route<{ Params: Record<string, string>; Querystring: Record<string, string> }>({
      method,
      url,
      handler: (request, reply) => send(reply, status, act(request))
    })
  }
  route('GET', '/state', 200, () => stateView(cloud()))
  route('GET', '/journal', 200, ({ query: { after = '0' } }) => {
    if (!/^\d+$/.test(after)) throw badRequest('after: must be a sequence number')
    return { entries: cloud().journal.after(Number(after)) }
  })
  route('GET', '/faults', 200, () => ({ faults: cloud().faults.list() }))
  route('POST', '/faults', 201, ({ body }) => {
    const rule = faultBody(body)
    try {
      return cloud().faults.add(rule)
    } catch (error) {
      throw error instanceof RangeError ? badRequest(error.message) : error
    }
  })
  route('DELETE', '/faults', 204, () => void cloud().faults.remove())
  route('DELETE', '/faults/:id', 204, ({ params: { id } }) => {
    if (!cloud().faults.remove(Number(id))) throw new Refusal(404, `There is no fault ${id}.`)
  })
  route('GET', '/delays', 200, () => cloud().delays)
  route('PUT', '/delays', 200, ({ body }) => {
    cloud().delays = changedDelays(cloud().delays, delaysBody(body))
    return cloud().delays
  })
  route('POST', '/reset', 204, reset)
  route('POST', '/stop-volume-service', 204, () => cloud().volumeService.stop())
  route('POST', '/start-volume-service', 204, () => cloud().volumeService.start())
  route('POST', '/restart-volume-service', 204, () => restartVolumeService(cloud()))
}

/** All that the cloud holds, transfer keys and passwords included: it is a sandbox. */
function stateView(cloud: SeededCloud): object {
  const name = (id: string): string | undefined => cloud.projects.get(id)?.name
  return {
    now: new Date(cloud.now()).toISOString(),
    release: cloud.release,
    locale: cloud.locale,
    list_max: cloud.listMax,
    volume_service: cloud.volumeService.isDown ? 'down' : 'up',
    projects: [...cloud.projects.values()].map(project => ({
      ...project,
      quota: Object.fromEntries(
        resources(cloud).map(resource => [
          resource,
          { limit: limitOf(cloud, project.id, resource), used: cloud.usage.of(project.id, resource) }
        ])
      )
    })),
    users: [...cloud.users.values()].map(user => ({
      ...user,
      roles: Object.fromEntries([...user.roles].map(([id, roles]) => [name(id), [...roles]]))
    })),
    application_credentials: [...cloud.applicationCredentials.values()],
    volume_types: [...cloud.types.values()].map(type => ({ ...type, projectIds: [...type.projectIds] })),
    volumes: [...cloud.volumes.of()].map(volume => ({
      id: volume.id,
      name: volume.name,
      status: volume.status,
      size: volume.sizeGib,
      volume_type: volume.type.name,
      project: name(volume.projectId),
      project_id: volume.projectId,
      user_id: volume.userId,
      snapshot_id: volume.snapshotId,
      metadata: volume.metadata,
      created_at: time(volume.createdAt, true)
    })),
    transfers: [...cloud.transfers.all()].map(transfer => ({
      id: transfer.id,
      volume_id: transfer.volumeId,
      name: transfer.name,
      auth_key: transfer.authKey,
      created_at: time(transfer.createdAt, true)
    })),
    snapshots: [...cloud.snapshots.values()].map(snapshot => ({
      id: snapshot.id,
      name: snapshot.name,
      status: snapshot.status,
      size: snapshot.sizeGib,
      volume_id: snapshot.volumeId,
      project: name(snapshot.projectId)
    })),
    tokens: cloud.tokens.size,
    faults: cloud.faults.list(),
    delays: cloud.delays
  }
}
