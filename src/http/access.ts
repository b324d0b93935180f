import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type Config, ROLES, type Role } from '../config/schema.ts'
import { PoolError } from '../pool/errors.ts'
import type { Call, Cloud, Identity } from '../pool/ports.ts'

/** Who sends a request, and what they may do. */
export interface Caller {
  /** The rate limit counts by it; undefined: by the address. */
  readonly id: string | undefined
  readonly roles: readonly Role[]
  /** Where claims go by default. A claimer has no other project. */
  readonly projectId: string | undefined
  /** Its own Keystone token, if it sent one. */
  readonly identity: Identity | undefined
}

export type Authenticate = (request: FastifyRequest, call: Call) => Promise<Caller>

export const authenticator =
  (access: Config['access'], cloud: Cloud): Authenticate =>
  async (request, call) => {
    const token = header(request, 'x-auth-token')
    const identify = async (): Promise<Identity | undefined> => {
      if (token === undefined) return undefined
      const identity = await cloud.identify(token, call)
      if (!identity) throw unauthenticated(UNKNOWN_TOKEN)
      return identity
    }
    if (access.mode === 'token') {
      const bearer = /^Bearer +(\S+)$/i.exec(header(request, 'authorization') ?? '')?.[1]
      const { name, role, project_id } = known(access.tokens, bearer ?? token)
      // Beside our token in Authorization, X-Auth-Token may carry a Keystone token to accept with. Some send ours in both.
      const identity = bearer === undefined || bearer === token ? undefined : await identify()
      return { id: `token ${name}`, roles: [role], projectId: project_id ?? identity?.projectId, identity }
    }
    const identity = await identify()
    const [id, projectId] = [identity && userOf(identity), identity?.projectId]
    if (access.mode === 'none') return { id, roles: ['admin'], projectId, identity }
    if (!identity) throw unauthenticated('Send a Keystone token scoped to a project as X-Auth-Token.')
    const roles = grantedRoles(access.roles, identity)
    // `reader` holds in the pool's own project only.
    const isReader = roles.includes('reader') && projectId === (await cloud.poolProject(call)).id
    return { id, roles: isReader ? roles : roles.filter(role => role !== 'reader'), projectId, identity }
  }

const UNKNOWN_TOKEN = 'Keystone does not know the token in X-Auth-Token, or it has expired, or it has no project.'

/** A user with several tokens is one caller. */
const userOf = ({ userId, projectId }: Identity): string => `user ${userId} in ${projectId}`

const header = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const unauthenticated = (why: string): PoolError => new PoolError('unauthenticated', why)

function known(tokens: Config['access']['tokens'], given: string | undefined): Config['access']['tokens'][number] {
  if (given === undefined) throw unauthenticated('Send a token of access.tokens as Authorization: Bearer.')
  const hash = createHash('sha256').update(given).digest()
  // Compares with all of them, each in constant time, so that timing tells nothing about any.
  const [token] = tokens.filter(({ sha256 }) => timingSafeEqual(hash, Buffer.from(sha256, 'hex')))
  if (!token) throw unauthenticated('The token is not in access.tokens.')
  return token
}

/** Our roles for Keystone's, by `access.roles`. */
const grantedRoles = (roles: Config['access']['roles'], identity: Identity): Role[] =>
  ROLES.filter(role => roles[role].some(name => identity.roles.includes(name)))

const mayActAs = ({ roles }: Caller, allowed: readonly Role[]): boolean =>
  roles.includes('admin') || roles.some(role => allowed.includes(role))

export function requireRole(caller: Caller, allowed: readonly Role[]): void {
  if (mayActAs(caller, allowed)) return
  throw new PoolError('forbidden', `This needs the role ${['admin', ...allowed].join(' or ')}.`)
}

/** Callers with one of `roles` reach every project, and may name one. Others have their own only. */
export function projectFor(caller: Caller, named: string | undefined, roles: readonly Role[]): string | undefined {
  if (mayActAs(caller, roles)) return named
  if (named !== undefined && named !== caller.projectId) {
    throw new PoolError('forbidden', `This token may act for project ${caller.projectId} only, not for ${named}.`)
  }
  return caller.projectId
}
