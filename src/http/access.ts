import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Config, Role } from '../config/schema.ts'
import { PoolError } from '../pool/errors.ts'
import type { Call, Cloud, Identity } from '../pool/ports.ts'

/** Who sends a request, and what it may do. */
export interface Caller {
  /** Whom its requests count against; undefined: nobody knows, beyond its address. */
  readonly id: string | undefined
  readonly roles: readonly Role[]
  /** The project that it claims into by default; a claimer has no other. */
  readonly projectId: string | undefined
  /** Its own Keystone token, where it came with one. */
  readonly identity: Identity | undefined
}

export type Authenticate = (request: FastifyRequest, call: Call) => Promise<Caller>

export function authenticator(access: Config['access'], cloud: Cloud): Authenticate {
  switch (access.mode) {
    case 'none':
      return async (request, call) => {
        const identity = await identified(cloud, header(request, 'x-auth-token'), call)
        return { id: identity && userOf(identity), roles: ['admin'], projectId: identity?.projectId, identity }
      }
    case 'token':
      return (request, call) => byToken(access, cloud, request, call)
    case 'keystone':
      return (request, call) => byKeystone(access, cloud, request, call)
  }
}

/** However many tokens it has. */
const userOf = ({ userId, projectId }: Identity): string => `user ${userId} in ${projectId}`

const header = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

async function identified(cloud: Cloud, token: string | undefined, call: Call): Promise<Identity | undefined> {
  if (token === undefined) return undefined
  const identity = await cloud.identify(token, call)
  if (identity) return identity
  throw unauthenticated('Keystone does not know the token in X-Auth-Token, or it has expired, or it has no project.')
}

const unauthenticated = (why: string): PoolError => new PoolError('unauthenticated', why)

/** A token of ours, in either header; beside one in Authorization, X-Auth-Token may carry a Keystone token to accept with. */
async function byToken(
  { tokens }: Config['access'],
  cloud: Cloud,
  request: FastifyRequest,
  call: Call
): Promise<Caller> {
  const bearer = /^Bearer +(\S+)$/i.exec(header(request, 'authorization') ?? '')?.[1]
  const other = header(request, 'x-auth-token')
  const given = bearer ?? other
  if (given === undefined) throw unauthenticated('Send a token of access.tokens as Authorization: Bearer.')
  const hash = createHash('sha256').update(given).digest()
  // All of them are compared, each in constant time, so that timing tells nothing about any.
  const [known] = tokens.filter(({ sha256 }) => timingSafeEqual(hash, Buffer.from(sha256, 'hex')))
  if (!known) throw unauthenticated('The token is not in access.tokens.')
  const identity = other === given ? undefined : await identified(cloud, other, call) // Some send it in both headers.
  const id = `token ${known.name}`
  return { id, roles: [known.role], projectId: known.project_id ?? identity?.projectId, identity }
}

/** A Keystone token: its roles are ours by `access.roles`, its project counts. */
async function byKeystone(
  { roles }: Config['access'],
  cloud: Cloud,
  request: FastifyRequest,
  call: Call
): Promise<Caller> {
  const identity = await identified(cloud, header(request, 'x-auth-token'), call)
  if (!identity) throw unauthenticated('Send a Keystone token scoped to a project as X-Auth-Token.')
  const has = (role: Role): boolean => roles[role].some(name => identity.roles.includes(name))
  const granted = (['claimer', 'service', 'admin'] as const).filter(has)
  const ownProject = has('reader') && identity.projectId === (await cloud.poolProject(call)).id
  return {
    id: userOf(identity),
    roles: ownProject ? [...granted, 'reader'] : granted,
    projectId: identity.projectId,
    identity
  }
}

const mayActAs = ({ roles }: Caller, allowed: readonly Role[]): boolean =>
  roles.includes('admin') || roles.some(role => allowed.includes(role))

export function requireRole(caller: Caller, allowed: readonly Role[]): void {
  if (mayActAs(caller, allowed)) return
  throw new PoolError('forbidden', `This needs the role ${['admin', ...allowed].join(' or ')}.`)
}

/** The project that a request is about. Without one of the `roles` that reach every project it is the caller's own. */
export function projectFor(caller: Caller, named: string | undefined, roles: readonly Role[]): string | undefined {
  if (mayActAs(caller, roles)) return named
  if (named !== undefined && named !== caller.projectId) {
    throw new PoolError('forbidden', `This token may act for project ${caller.projectId} only, not for ${named}.`)
  }
  return caller.projectId
}
