import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Cloud } from './cloud.ts'
import type { Operation } from './delays.ts'
import {
  createApplicationCredential,
  isRole,
  login,
  part,
  ROLES,
  requireAdmin,
  requireToken,
  rolesIn,
  subjectToken
} from './identity.ts'
import type { ApplicationCredential, Project, Token, User } from './model.ts'
import { keystoneBody, Refusal } from './refusal.ts'
import { addProject } from './seed.ts'
import { failure, header, send } from './wire.ts'

const DOMAIN = { id: 'default', name: 'Default' }
/** Things that have no id of their own get one from their name. */
const idOf = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 32)
const isoTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, -1)}000Z`
const role = (name: string): object => ({
  id: idOf(name),
  name,
  domain_id: null,
  description: null,
  options: {},
  links: {}
})
const projectView = ({ id, name }: Project): object => ({
  id,
  name,
  domain_id: DOMAIN.id,
  parent_id: DOMAIN.id,
  enabled: true,
  is_domain: false,
  description: '',
  tags: [],
  options: {},
  links: {}
})
const userView = ({ id, name }: User): object => ({
  id,
  name,
  domain_id: DOMAIN.id,
  enabled: true,
  options: {},
  links: {},
  password_expires_at: null
})
const credentialView = ({ id, name, projectId, userId }: ApplicationCredential): object => ({
  id,
  name,
  project_id: projectId,
  user_id: userId,
  roles: [role('member'), role('reader')],
  expires_at: null,
  unrestricted: false,
  description: null,
  links: {}
})

function catalog(host: string, project: Project): object[] {
  const entry = (type: string, name: string, url: string): object => ({
    endpoints: ['public', 'internal', 'admin'].map(face => ({
      id: idOf(type + face),
      interface: face,
      region_id: 'RegionOne',
      region: 'RegionOne',
      url
    })),
    id: idOf(type),
    type,
    name
  })
  const volumes = `${host}/volume/v3/${project.id}`
  return [
    entry('block-storage', 'cinder', volumes),
    entry('identity', 'keystone', `${host}/identity`),
    entry('volumev3', 'cinderv3', volumes)
  ]
}

function tokenView(host: string, token: Token, withCatalog: boolean): object {
  const { user, project, roles } = token
  const scope = project && {
    project: { domain: DOMAIN, id: project.id, name: project.name },
    is_domain: false,
    roles: roles.map(name => ({ id: idOf(name), name })),
    ...(withCatalog ? { catalog: catalog(host, project) } : {})
  }
  const person = { domain: DOMAIN, id: user.id, name: user.name, password_expires_at: null }
  const times = { expires_at: isoTime(token.expiresAt), issued_at: isoTime(token.issuedAt) }
  return {
    token: { methods: token.methods, user: person, audit_ids: [idOf(token.id).slice(0, 22)], ...times, ...scope }
  }
}

const versionView = (url: string): object => ({
  id: 'v3.14',
  status: 'stable',
  updated: '2020-04-07T00:00:00Z',
  links: [{ rel: 'self', href: url }],
  'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }]
})

interface Asked {
  readonly cloud: Cloud
  readonly host: string
  readonly request: FastifyRequest
  readonly caller: () => Token
  readonly param: (name: string) => string
}
interface Answer {
  readonly body?: object
  readonly status?: number
  readonly headers?: Record<string, string>
}

/** Keystone v3, as far as logins, services and the command line need it. */
export function keystoneRoutes(app: FastifyInstance, cloud: () => Cloud): void {
  const url = (request: FastifyRequest): string => `http://${request.host}`
  const route = (
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    operation: Operation,
    act: (asked: Asked) => Answer
  ): void => {
    app.route({ method, url: path, handler: async (request, reply) => await handle(request, reply, operation, act) })
  }
  const handle = async (
    request: FastifyRequest,
    reply: FastifyReply,
    operation: Operation,
    act: (asked: Asked) => Answer
  ): Promise<FastifyReply> => {
    const current = cloud()
    const token = header(request, 'x-auth-token')
    reply.headers({ vary: 'X-Auth-Token', 'x-openstack-request-id': `req-${current.random.uuid()}` })
    const asked: Asked = {
      cloud: current,
      host: url(request),
      request,
      caller: () => requireToken(current, token),
      param: name => (request.params as Record<string, string>)[name] ?? ''
    }
    const { body, status = 200, headers = {} } = await current.perform(operation, token, () => act(asked))
    return send(reply.headers(headers), status, body)
  }
  app.setErrorHandler((error, request, reply) => {
    const refusal = failure(error, request)
    if (!refusal) return
    if (refusal.status === 401) reply.header('www-authenticate', `Keystone uri="${url(request)}/identity"`)
    return send(reply, refusal.status, keystoneBody(refusal))
  })
  app.setNotFoundHandler((_request, reply) =>
    send(reply, 404, keystoneBody(new Refusal(404, 'The requested URL was not found.')))
  )
  const versions = ({ host }: Asked): Answer => ({
    status: 300,
    body: { versions: { values: [versionView(`${host}/identity/v3/`)] } }
  })
  route('GET', '/', 'identity', versions)
  for (const path of ['/v3', '/v3/']) {
    route('GET', path, 'identity', ({ host }) => ({ body: { version: versionView(`${host}/identity/v3/`) } }))
  }
  tokenRoutes(route)
  directoryRoutes(route)
  assignmentRoutes(route)
}

type Route = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  operation: Operation,
  act: (asked: Asked) => Answer
) => void

function tokenRoutes(route: Route): void {
  route('POST', '/v3/auth/tokens', 'token_issue', ({ cloud, host, request }) => {
    if (typeof request.body !== 'object')
      throw new Refusal(
        400,
        'Expecting to find valid JSON in request body. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.'
      )
    const token = login(cloud, request.body)
    return {
      status: 201,
      body: tokenView(host, token, !hasFlag(request, 'nocatalog')),
      headers: { 'x-subject-token': token.id }
    }
  })
  route('GET', '/v3/auth/tokens', 'token_validate', ({ cloud, host, request, caller }) => {
    const subject = subjectToken(cloud, caller(), header(request, 'x-subject-token'), 'identity:validate_token')
    return {
      body: tokenView(host, subject, !hasFlag(request, 'nocatalog')),
      headers: { 'x-subject-token': subject.id }
    }
  })
  route('DELETE', '/v3/auth/tokens', 'token_revoke', ({ cloud, request, caller }) => {
    const subject = subjectToken(cloud, caller(), header(request, 'x-subject-token'), 'identity:revoke_token')
    cloud.tokens.delete(subject.id)
    return { status: 204 }
  })
  route('GET', '/v3/auth/catalog', 'identity', ({ host, caller }) => {
    const { project } = caller()
    return { body: { catalog: project ? catalog(host, project) : [], links: {} } }
  })
  route('GET', '/v3/auth/projects', 'identity', ({ cloud, caller }) => {
    const { user } = caller()
    return {
      body: {
        projects: [...cloud.projects.values()].filter(({ id }) => user.roles.has(id)).map(projectView),
        links: {}
      }
    }
  })
}

const hasFlag = (request: FastifyRequest, name: string): boolean => name in (request.query as object)

/** Lists, and single things by id. Administrators see all; others only themselves. */
function directoryRoutes(route: Route): void {
  const list = <T extends { id: string }>(
    kind: string,
    all: (cloud: Cloud) => Iterable<T>,
    view: (item: T) => object,
    isOwn: (item: T, caller: Token) => boolean
  ): void => {
    route('GET', `/v3/${kind}s`, 'identity', ({ cloud, request, caller }) => {
      requireAdmin(caller(), `identity:list_${kind}s`)
      const { name } = request.query as { name?: string }
      const rows = [...all(cloud)]
        .map(view)
        .filter(item => name === undefined || (item as { name: string }).name === name)
      return { body: { [`${kind}s`]: rows, links: {} } }
    })
    route('GET', `/v3/${kind}s/:id`, 'identity', ({ cloud, caller, param }) => {
      const token = caller()
      const item = [...all(cloud)].find(({ id }) => id === param('id'))
      requireAdmin(token, `identity:get_${kind}`, item && isOwn(item, token))
      if (!item) throw new Refusal(404, `Could not find ${kind}: ${param('id')}.`)
      return { body: { [kind]: view(item) } }
    })
  }
  list(
    'project',
    cloud => cloud.projects.values(),
    projectView,
    ({ id }, { project }) => id === project?.id
  )
  list(
    'user',
    cloud => cloud.users.values(),
    userView,
    (user, caller) => user === caller.user
  )
  list(
    'role',
    () => ROLES.map(name => ({ id: idOf(name), name })),
    ({ name }) => role(name),
    () => false
  )
  list(
    'domain',
    () => [{ ...DOMAIN, enabled: true, description: '', links: {} }],
    domain => domain,
    () => true
  )
}

function assignmentRoutes(route: Route): void {
  route('POST', '/v3/projects', 'identity', ({ cloud, request, caller }) => {
    requireAdmin(caller(), 'identity:create_project')
    const { name } = part(request.body, 'project')
    if (typeof name !== 'string') throw new Refusal(400, "'name' is a required property")
    if ([...cloud.projects.values()].some(project => project.name === name)) {
      throw new Refusal(
        409,
        `Conflict occurred attempting to store project - it is not permitted to have two projects with the same name in the same domain : ${name}.`
      )
    }
    return { status: 201, body: { project: projectView(addProject(cloud, name)) } }
  })
  for (const method of ['PUT', 'DELETE'] as const) {
    route(method, '/v3/projects/:project/users/:user/roles/:role', 'identity', ({ cloud, caller, param }) => {
      requireAdmin(caller(), method === 'PUT' ? 'identity:create_grant' : 'identity:revoke_grant')
      const user = cloud.users.get(param('user'))
      const project = cloud.projects.get(param('project'))
      const name = ROLES.find(name => idOf(name) === param('role'))
      if (!user || !project || !name || !isRole(name))
        throw new Refusal(404, 'Could not find the user, project or role.')
      const roles = user.roles.get(project.id) ?? new Set()
      if (method === 'PUT') user.roles.set(project.id, roles.add(name))
      else if (roles.delete(name) && roles.size === 0) user.roles.delete(project.id)
      return { status: 204 }
    })
  }
  route('GET', '/v3/role_assignments', 'identity', ({ cloud, caller }) => {
    requireAdmin(caller(), 'identity:list_role_assignments')
    const assignments = [...cloud.users.values()].flatMap(user =>
      [...cloud.projects.values()].flatMap(project =>
        rolesIn(user, project).map(name => ({
          user: { id: user.id, name: user.name, domain: DOMAIN },
          scope: { project: { id: project.id, name: project.name, domain: DOMAIN } },
          role: { id: idOf(name), name },
          links: {}
        }))
      )
    )
    return { body: { role_assignments: assignments, links: {} } }
  })
  route('POST', '/v3/users/:user/application_credentials', 'identity', ({ cloud, request, caller, param }) => {
    const token = caller()
    if (token.user.id !== param('user')) requireAdmin(token, 'identity:create_application_credential', false)
    const credential = createApplicationCredential(cloud, token, request.body)
    return {
      status: 201,
      body: { application_credential: { ...credentialView(credential), secret: credential.secret } }
    }
  })
  route('GET', '/v3/users/:user/application_credentials', 'identity', ({ cloud, caller, param }) => {
    requireAdmin(caller(), 'identity:list_application_credentials', caller().user.id === param('user'))
    const own = [...cloud.applicationCredentials.values()].filter(({ userId }) => userId === param('user'))
    return { body: { application_credentials: own.map(credentialView), links: {} } }
  })
}
