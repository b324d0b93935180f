import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Cloud } from './cloud.ts'
import { changedDelays } from './delays.ts'
import { faultRule } from './faults.ts'
import { limitOf, resources } from './quotas.ts'
import { time } from './views.ts'
import { send } from './wire.ts'

/** The sandbox's own side: look into the cloud, break it, and set it back. It asks nobody for a token. */
export function sandboxRoutes(app: FastifyInstance, cloud: () => Cloud, reset: () => void): void {
  app.setErrorHandler((error, _request, reply) => {
    const status =
      error instanceof RangeError
        ? 400
        : error instanceof Error && 'statusCode' in error
          ? Number(error.statusCode)
          : 500
    return send(reply, status, { error: { code: status, message: error instanceof Error ? error.message : 'unknown' } })
  })
  const route = (
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: string,
    status: number,
    act: (request: FastifyRequest) => object | undefined
  ): void => {
    app.route({
      method,
      url,
      handler: async (request, reply): Promise<FastifyReply> => send(reply, status, act(request))
    })
  }
  route('GET', '/state', 200, () => stateView(cloud()))
  route('GET', '/journal', 200, request => {
    const { after = '0' } = request.query as { after?: string }
    if (!/^\d+$/.test(after)) throw new RangeError('after: must be a sequence number')
    return { entries: cloud().journal.after(Number(after)) }
  })
  route('GET', '/faults', 200, () => ({ faults: cloud().faults.list() }))
  route('POST', '/faults', 201, request => cloud().faults.add(faultRule(fieldsOf(request.body))))
  for (const path of ['/faults', '/faults/:id']) {
    route('DELETE', path, 204, request => {
      const { id } = request.params as { id?: string }
      if (!cloud().faults.remove(id === undefined ? undefined : Number(id)))
        throw new RangeError(`${id}: no such fault`)
      return undefined
    })
  }
  route('GET', '/delays', 200, () => cloud().delays)
  route('PUT', '/delays', 200, request => {
    cloud().delays = changedDelays(cloud().delays, fieldsOf(request.body))
    return cloud().delays
  })
  route('POST', '/reset', 204, () => {
    reset()
    return undefined
  })
}

function fieldsOf(body: unknown): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new RangeError('body: must be a JSON object')
  return { ...body }
}

/** All that the cloud holds, transfer keys and passwords included: it is a sandbox. */
function stateView(cloud: Cloud): object {
  const name = (id: string): string | undefined => cloud.projects.get(id)?.name
  return {
    now: new Date(cloud.now()).toISOString(),
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
