import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Cloud } from './cloud.ts'
import type { Operation } from './delays.ts'
import { createApplicationCredential, login, requireAdmin, requireToken, rolesOf, subjectToken } from './identity.ts'
import { translated } from './languages.ts'
import type { Project, Token, User } from './model.ts'
import { keystoneBody, Refusal } from './refusal.ts'
import type { ApiVersion, CatalogEntry } from './releases.ts'
import { authBody, credentialBody, projectBody } from './schemas.ts'
import { addProject } from './seed.ts'
import { type Answer, answerErrors, type Exchange, header, type Method, originOf, serve } from './wire.ts'

/** Things that have no id of their own get one from their name. */
const idOf = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 32)
const isoTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z')

const DOMAIN = { id: 'default', name: 'Default' }
const roleViews = (cloud: Cloud): Entity[] =>
  rolesOf(cloud).map(name => ({ id: idOf(name), name, domain_id: null, options: {}, links: {} }))
const COMMON = { domain_id: DOMAIN.id, enabled: true, options: {}, links: {} }
const projectView = ({ id, name }: Project): Entity => ({
  id,
  name,
  ...COMMON,
  parent_id: DOMAIN.id,
  is_domain: false,
  description: '',
  tags: []
})
const userView = ({ id, name }: User): Entity => ({ id, name, ...COMMON, password_expires_at: null })

interface Entity {
  readonly id: string
  readonly name: string
  readonly [more: string]: unknown
}

/** Block storage in the catalogue, by the type of its entry: its name, and the version that it leads to. */
const STORAGE: Readonly<Record<CatalogEntry, readonly [name: string, version: ApiVersion]>> = {
  volume: ['cinder', 'v1'],
  volumev2: ['cinderv2', 'v2'],
  volumev3: ['cinderv3', 'v3'],
  'block-storage': ['cinder', 'v3']
}

/** The clients' way to everything. `compute` and `image` are there since `openstack` looks for them before it starts. */
function catalog({ traits, variant }: Cloud, host: string, project: Project): object[] {
  const below = traits.catalogWithoutProject.includes(variant.catalog) ? '' : `/${project.id}`
  const storage = (traits.catalogs[variant.catalog] ?? []).map(type => {
    const [name, version] = STORAGE[type]
    return [type, name, `${host}/volume/${version}${below}`] as const
  })
  const services = [
    ...storage,
    ['identity', 'keystone', `${host}/identity`],
    ['compute', 'nova', `${host}/compute/v2.1`],
    ['image', 'glance', `${host}/image`]
  ] as const
  return services.map(([type, name, url]) => {
    const endpoints = ['public', 'internal', 'admin'].map(face => ({
      id: idOf(type + face),
      interface: face,
      region_id: 'RegionOne',
      region: 'RegionOne',
      url
    }))
    return { endpoints, id: idOf(type), type, name }
  })
}

function tokenView(cloud: Cloud, host: string, token: Token, withCatalog: boolean): object {
  const { user, project, methods } = token
  const roles = roleViews(cloud)
    .filter(({ name }) => token.roles.includes(name))
    .map(({ id, name }) => ({ id, name }))
  const scope = project && { project: { domain: DOMAIN, id: project.id, name: project.name }, is_domain: false, roles }
  const person = { domain: DOMAIN, id: user.id, name: user.name, password_expires_at: null }
  const times = { expires_at: isoTime(token.expiresAt), issued_at: isoTime(token.issuedAt) }
  const services = project && withCatalog ? { catalog: catalog(cloud, host, project) } : {}
  return { token: { methods, user: person, audit_ids: [idOf(token.id).slice(0, 22)], ...times, ...scope, ...services } }
}

/** A request to Keystone. `caller` refuses one without a good token. */
interface Call extends Exchange {
  readonly host: string
  readonly caller: () => Token
  readonly param: (name: string) => string
}
type Route = (method: Method, path: string, operation: Operation, act: (call: Call) => Answer) => void

/** Keystone v3, as far as logins, services and the command line need it. */
export function keystoneRoutes(app: FastifyInstance, cloud: () => Cloud): void {
  const route: Route = (method, path, operation, act) =>
    serve(
      app,
      cloud,
      [method, path],
      () => operation,
      exchange => {
        const { request, reply } = exchange
        reply.header('vary', 'X-Auth-Token')
        const caller = (): Token => requireToken(exchange.cloud, header(request, 'x-auth-token'))
        return act({ ...exchange, host: originOf(request), caller, param: name => request.params[name] ?? '' })
      }
    )
  answerErrors(app, keystoneBody, (refusal, request) => translated(cloud(), refusal, request))
  app.setNotFoundHandler(() => {
    throw new Refusal(404, 'The resource could not be found.')
  })
  versionRoutes(route)
  tokenRoutes(route)
  directoryRoutes(route)
  grantRoutes(route)
}

function versionRoutes(route: Route): void {
  const version = (host: string): object => ({
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${host}/identity/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }]
  })
  route('GET', '/', 'identity', ({ host }) => ({ status: 300, body: { versions: { values: [version(host)] } } }))
  for (const path of ['/v3', '/v3/']) {
    route('GET', path, 'identity', ({ host }) => ({ status: 200, body: { version: version(host) } }))
  }
}

function tokenRoutes(route: Route): void {
  const path = '/v3/auth/tokens'
  const show = ({ cloud, reply, request, host }: Call, status: number, token: Token): Answer => {
    reply.header('x-subject-token', token.id)
    return { status, body: tokenView(cloud, host, token, !('nocatalog' in request.query)) }
  }
  const subject = ({ cloud, request, caller }: Call, action: string): Token =>
    subjectToken(cloud, caller(), header(request, 'x-subject-token'), action)
  route('POST', path, 'token_issue', call => show(call, 201, login(call.cloud, authBody(call.request.body).auth)))
  route('GET', path, 'token_validate', call => show(call, 200, subject(call, 'identity:validate_token')))
  route('DELETE', path, 'token_revoke', call => {
    call.cloud.tokens.delete(subject(call, 'identity:revoke_token').id)
    return { status: 204 }
  })
  route('GET', '/v3/auth/projects', 'identity', ({ cloud, caller }) => {
    const { user } = caller()
    const own = [...cloud.projects.values()].filter(({ id }) => user.roles.has(id))
    return { status: 200, body: { projects: own.map(projectView), links: {} } }
  })
}

/** Lists, and single things by id. Administrators see all; others what is their own. */
function directoryRoutes(route: Route): void {
  const list = (
    kind: string,
    all: (cloud: Cloud) => readonly Entity[],
    isOwn: (id: string, caller: Token) => boolean
  ): void => {
    route('GET', `/v3/${kind}s`, 'identity', ({ cloud, request, caller }) => {
      requireAdmin(caller(), `identity:list_${kind}s`)
      const { name } = request.query
      const found = all(cloud).filter(item => name === undefined || item.name === name)
      return { status: 200, body: { [`${kind}s`]: found, links: {} } }
    })
    route('GET', `/v3/${kind}s/:id`, 'identity', ({ cloud, caller, param }) => {
      requireAdmin(caller(), `identity:get_${kind}`, isOwn(param('id'), caller()))
      const item = all(cloud).find(({ id }) => id === param('id'))
      if (!item) throw new Refusal(404, `Could not find ${kind}: ${param('id')}.`)
      return { status: 200, body: { [kind]: item } }
    })
  }
  list(
    'project',
    ({ projects }) => [...projects.values()].map(projectView),
    (id, caller) => id === caller.project?.id
  )
  list(
    'user',
    ({ users }) => [...users.values()].map(userView),
    (id, caller) => id === caller.user.id
  )
  list('role', roleViews, () => false)
  list(
    'domain',
    () => [{ ...DOMAIN, enabled: true, description: '', links: {} }],
    id => id === DOMAIN.id
  )
}

/** How an administrator makes more projects and gives users roles in them, and a user credentials for its programs. */
function grantRoutes(route: Route): void {
  route('POST', '/v3/projects', 'identity', ({ cloud, request, caller }) => {
    requireAdmin(caller(), 'identity:create_project')
    const { name } = projectBody(request.body).project
    if ([...cloud.projects.values()].some(project => project.name === name)) {
      throw new Refusal(409, `Conflict occurred attempting to store project - Duplicate entry found with name ${name}.`)
    }
    return { status: 201, body: { project: projectView(addProject(cloud, name)) } }
  })
  for (const method of ['PUT', 'DELETE'] as const) {
    route(method, '/v3/projects/:project/users/:user/roles/:role', 'identity', ({ cloud, caller, param }) => {
      requireAdmin(caller(), method === 'PUT' ? 'identity:create_grant' : 'identity:revoke_grant')
      const [user, project] = [cloud.users.get(param('user')), cloud.projects.get(param('project'))]
      const role = roleViews(cloud).find(({ id }) => id === param('role'))?.name
      if (!user || !project || !role) throw new Refusal(404, 'Could not find the user, the project or the role.')
      const roles = user.roles.get(project.id) ?? new Set<string>()
      if (method === 'PUT') roles.add(role)
      else roles.delete(role)
      user.roles.set(project.id, roles)
      return { status: 204 }
    })
  }
  route('POST', '/v3/users/:user/application_credentials', 'identity', ({ cloud, request, caller, param }) => {
    if (!cloud.traits.hasApplicationCredentials) throw new Refusal(404, 'The resource could not be found.')
    requireAdmin(caller(), 'identity:create_application_credential', caller().user.id === param('user'))
    const made = createApplicationCredential(cloud, caller(), credentialBody(request.body).application_credential)
    const { id, name, secret, projectId: project_id } = made
    const roles = roleViews(cloud).filter(role => caller().roles.includes(role.name))
    const credential = { id, name, secret, project_id, roles, description: null, expires_at: null, unrestricted: false }
    return { status: 201, body: { application_credential: credential } }
  })
  route('DELETE', '/v3/users/:user/application_credentials/:id', 'identity', ({ cloud, caller, param }) => {
    requireAdmin(caller(), 'identity:delete_application_credential', caller().user.id === param('user'))
    const id = param('id')
    if (cloud.applicationCredentials.get(id)?.userId !== param('user')) {
      throw new Refusal(404, `Could not find Application Credential: ${id}.`)
    }
    cloud.applicationCredentials.delete(id)
    return { status: 204 }
  })
}
