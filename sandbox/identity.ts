import type { Cloud } from './cloud.ts'
import type { ApplicationCredential, Project, Token, User } from './model.ts'
import { Refusal, unauthorized } from './refusal.ts'
import type { Auth, Named } from './schemas.ts'

/** What a role implies besides itself; a role that operators made themselves has nothing to do with the others. */
const IMPLIED: Record<string, readonly string[]> = { admin: ['member', 'reader'], member: ['reader'] }

/** All roles there are, the weakest first. */
export const rolesOf = ({ variant }: Cloud): string[] => ['reader', variant.memberRole, 'admin', 'service']

/** Such a credential has its project already. */
const BOUND = 'Error authenticating with application credential: Application credentials cannot request a scope.'

const TOKEN_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** `POST /v3/auth/tokens`. Whatever is wrong about user, password or project is refused in the same words. */
export function login(cloud: Cloud, { identity, scope }: Auth): Token {
  const found = identity.methods.map(method => METHODS[method]?.(cloud, identity)).find(login => login !== undefined)
  if (!found) throw unauthorized()
  if (found.project && scope !== undefined) throw unauthorized(BOUND)
  const project = found.project ?? scopedProject(cloud, scope)
  const roles = project ? rolesIn(cloud, found.user, project) : []
  if (project && roles.length === 0) throw unauthorized()
  const methods = [...new Set([...identity.methods, ...(found.methods ?? [])])]
  return issueToken(cloud, { user: found.user, project, roles, methods })
}

interface Login {
  readonly user: User
  readonly project?: Project | undefined
  readonly methods?: readonly string[]
}

const METHODS: Record<string, (cloud: Cloud, given: Auth['identity']) => Login | undefined> = {
  password: (cloud, { password }) => {
    const user = password && meant(cloud.users, password.user)
    return user && user.password === password?.user.password ? { user } : undefined
  },
  token: (cloud, { token }) => {
    const known = findToken(cloud, token?.id)
    return known && { user: known.user, methods: known.methods }
  },
  application_credential: (cloud, { application_credential: given }) => {
    if (!cloud.traits.hasApplicationCredentials) return undefined
    const owner = meant(cloud.users, given?.user)
    const credential = [...cloud.applicationCredentials.values()].find(({ id, name, userId }) =>
      given?.id === undefined ? name === given?.name && userId === owner?.id : id === given.id
    )
    const user = credential && cloud.users.get(credential.userId)
    if (!user && given?.id !== undefined) throw new Refusal(404, `Could not find Application Credential: ${given.id}.`)
    if (!user || credential.secret !== given?.secret) return undefined
    return { user, project: cloud.projects.get(credential.projectId) }
  }
}

/** The user or project that is meant; there is only the default domain. */
function meant<T extends { name: string }>(all: ReadonlyMap<string, T>, wanted: Named | undefined): T | undefined {
  if (wanted?.id !== undefined) return all.get(wanted.id)
  const { id, name } = wanted?.domain ?? {}
  if (id !== 'default' && name?.toLowerCase() !== 'default') return undefined
  return [...all.values()].find(item => item.name === wanted?.name)
}

function scopedProject(cloud: Cloud, scope: Auth['scope']): Project | undefined {
  if (scope === undefined || scope === 'unscoped') return undefined
  const project = typeof scope === 'string' ? undefined : meant(cloud.projects, scope.project)
  if (!project) throw unauthorized()
  return project
}

/** With what they imply, the weakest first. */
export function rolesIn(cloud: Cloud, user: User, project: Project): string[] {
  const assigned = [...(user.roles.get(project.id) ?? [])]
  const all = new Set(assigned.flatMap(role => [role, ...(IMPLIED[role] ?? [])]))
  return rolesOf(cloud).filter(role => all.has(role))
}

function issueToken(cloud: Cloud, what: Pick<Token, 'user' | 'project' | 'roles' | 'methods'>): Token {
  dropExpired(cloud)
  const issuedAt = cloud.now()
  const id = cloud.traits.hasFernetTokens ? fernetToken(cloud) : cloud.random.hex(32)
  const token = { ...what, id, issuedAt, expiresAt: issuedAt + cloud.tokenSeconds * 1000 }
  cloud.tokens.set(id, token)
  return token
}

function fernetToken({ random }: Cloud): string {
  const characters = Array.from({ length: 183 }, () => TOKEN_ALPHABET[Math.floor(random.fraction() * 64)])
  return `gAAAAAB${characters.join('')}`
}

/** Tokens are in the order of their issue, so the expired ones come first. */
function dropExpired(cloud: Cloud): void {
  for (const token of cloud.tokens.values()) {
    if (token.expiresAt > cloud.now()) return
    cloud.tokens.delete(token.id)
  }
}

/** Undefined when it is unknown, revoked or expired. */
export function findToken(cloud: Cloud, id: string | undefined): Token | undefined {
  const token = id === undefined ? undefined : cloud.tokens.get(id)
  return token && token.expiresAt > cloud.now() ? token : undefined
}

/** The caller's own token; without a good one nothing goes. */
export function requireToken(cloud: Cloud, id: string | undefined): Token {
  const token = findToken(cloud, id)
  if (!token) throw unauthorized()
  return token
}

const forbidden = (action: string): Refusal =>
  new Refusal(403, `You are not authorized to perform the requested action: ${action}.`)

/** Lets administrators pass, others only where `own` says that it is their own affair. */
export function requireAdmin(caller: Token, action: string, own = false): void {
  if (!own && !caller.roles.includes('admin')) throw forbidden(action)
}

/** The token that another one asks about: for administrators, services, and the token's own user. */
export function subjectToken(cloud: Cloud, caller: Token, id: string | undefined, action: string): Token {
  const subject = findToken(cloud, id)
  if (!subject) throw new Refusal(404, `Could not find token: ${id ?? 'None'}.`)
  requireAdmin(caller, action, caller.roles.includes('service') || caller.user === subject.user)
  return subject
}

export function createApplicationCredential(
  cloud: Cloud,
  caller: Token,
  { name, secret = cloud.random.hex(64) }: { name: string; secret?: string }
): ApplicationCredential {
  if (!caller.project) throw forbidden('identity:create_application_credential')
  const owner = { userId: caller.user.id, projectId: caller.project.id }
  const credential = { id: cloud.random.hex(32), name, secret, ...owner }
  cloud.applicationCredentials.set(credential.id, credential)
  return credential
}
