import type { Cloud } from './cloud.ts'
import type { ApplicationCredential, Project, Token, User } from './model.ts'
import { badRequest, Refusal, unauthorized } from './refusal.ts'

/** What a role implies besides itself. */
const IMPLIED: Record<string, readonly string[]> = { admin: ['member', 'reader'], member: ['reader'] }
export const ROLES = ['reader', 'member', 'admin', 'service'] as const
export const isRole = (name: string): boolean => ROLES.some(role => role === name)

type Json = Readonly<Record<string, unknown>>
const TOKEN_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The field of an object where that is an object itself, else an empty one. */
export const part = (value: unknown, name: string): Json => {
  const field: unknown = typeof value === 'object' && value !== null ? (value as Json)[name] : undefined
  return typeof field === 'object' && field !== null ? (field as Json) : {}
}

/** `POST /v3/auth/tokens`. Whatever is wrong about user, password or project is refused in the same words. */
export function login(cloud: Cloud, body: unknown): Token {
  const auth = part(body, 'auth')
  const identity = part(auth, 'identity')
  const methods = Array.isArray(identity['methods']) ? identity['methods'].map(String) : []
  if (methods.length === 0) {
    throw badRequest("'identity' is a required property\n\nFailed validating 'required' in schema")
  }
  const method = methods.find(name => name in METHODS)
  const found = method && METHODS[method]?.(cloud, part(identity, method))
  if (!found) throw unauthorized()
  const project = found.project ?? scopedProject(cloud, part(auth, 'scope'))
  const roles = project ? rolesIn(found.user, project) : []
  if (project && roles.length === 0) throw unauthorized()
  if (found.project && auth['scope'] !== undefined) throw unauthorized() // Such a credential has its project already.
  return issueToken(cloud, {
    user: found.user,
    project,
    roles,
    methods: [...new Set([...methods, ...(found.methods ?? [])])]
  })
}

interface Login {
  readonly user: User
  readonly project?: Project | undefined
  readonly methods?: readonly string[]
}

const METHODS: Record<string, (cloud: Cloud, given: Json) => Login | undefined> = {
  password: (cloud, given) => {
    const wanted = part(given, 'user')
    const user = findUser(cloud, wanted)
    return user && user.password === wanted['password'] ? { user } : undefined
  },
  token: (cloud, given) => {
    const token = findToken(cloud, String(given['id']))
    return token && { user: token.user, methods: token.methods }
  },
  application_credential: (cloud, given) => {
    const owner = findUser(cloud, part(given, 'user'))
    const credential = [...cloud.applicationCredentials.values()].find(({ id, name, userId }) =>
      given['id'] === undefined ? name === given['name'] && userId === owner?.id : id === given['id']
    )
    const user = credential && cloud.users.get(credential.userId)
    if (!user || credential.secret !== given['secret']) return undefined
    return { user, project: cloud.projects.get(credential.projectId) }
  }
}

const inDefaultDomain = (wanted: Json): boolean => {
  const { id, name } = part(wanted, 'domain') as { id?: unknown; name?: unknown }
  return id === 'default' || (typeof name === 'string' && name.toLowerCase() === 'default')
}

const findUser = (cloud: Cloud, wanted: Json): User | undefined =>
  wanted['id'] === undefined
    ? [...cloud.users.values()].find(user => user.name === wanted['name'] && inDefaultDomain(wanted))
    : cloud.users.get(String(wanted['id']))

function scopedProject(cloud: Cloud, scope: Json): Project | undefined {
  if (Object.keys(scope).length === 0) return undefined
  const wanted = part(scope, 'project')
  const project =
    wanted['id'] === undefined
      ? [...cloud.projects.values()].find(({ name }) => name === wanted['name'] && inDefaultDomain(wanted))
      : cloud.projects.get(String(wanted['id']))
  if (!project) throw unauthorized()
  return project
}

/** With what they imply, the weakest first. */
export function rolesIn(user: User, project: Project): string[] {
  const assigned = [...(user.roles.get(project.id) ?? [])]
  const all = new Set(assigned.flatMap(role => [role, ...(IMPLIED[role] ?? [])]))
  return ROLES.filter(role => all.has(role))
}

function issueToken(cloud: Cloud, what: Pick<Token, 'user' | 'project' | 'roles' | 'methods'>): Token {
  dropExpired(cloud)
  const issuedAt = cloud.now()
  const characters = Array.from({ length: 183 }, () => TOKEN_ALPHABET[Math.floor(cloud.random.fraction() * 64)])
  const id = `gAAAAAB${characters.join('')}`
  const token = { ...what, id, issuedAt, expiresAt: issuedAt + cloud.tokenSeconds * 1000 }
  cloud.tokens.set(id, token)
  return token
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

export function createApplicationCredential(cloud: Cloud, caller: Token, body: unknown): ApplicationCredential {
  const wanted = part(body, 'application_credential')
  if (typeof wanted['name'] !== 'string') throw badRequest("'name' is a required property")
  if (!caller.project) throw forbidden('identity:create_application_credential')
  const secret = typeof wanted['secret'] === 'string' ? wanted['secret'] : cloud.random.hex(64)
  const owner = { userId: caller.user.id, projectId: caller.project.id }
  const credential = { id: cloud.random.hex(32), name: wanted['name'], secret, ...owner }
  cloud.applicationCredentials.set(credential.id, credential)
  return credential
}
