import type { Said } from './layers.ts'

type Domain = { id: string } | { name: string }
type Named = { id: string } | { name: string; domain: Domain }
type Target = { project: Named } | { 'OS-TRUST:trust': { id: string } }

/** Who logs in, and to what. The parts are written as Keystone wants them. */
export type Login =
  | { kind: 'password'; user: Named; password: string; scope: Target }
  | { kind: 'token'; token: string; scope: Target }
  | { kind: 'application_credential'; credential: { id: string } | { name: string; user: Named }; secret: string }

/** What Keystone is sent for a token of the login's own scope, or of another. */
export function loginBody(login: Login, scope?: Target): unknown {
  switch (login.kind) {
    case 'password': {
      const { user, password } = login
      const identity = { methods: ['password'], password: { user: { ...user, password } } }
      return { identity, scope: scope ?? login.scope }
    }
    case 'token':
      return { identity: { methods: ['token'], token: { id: login.token } }, scope: scope ?? login.scope }
    case 'application_credential': {
      const { credential, secret } = login
      return { identity: { methods: ['application_credential'], application_credential: { ...credential, secret } } }
    }
  }
}

/** Never quoted in a message. */
export function secretOf(login: Login): string {
  if (login.kind === 'password') return login.password
  return login.kind === 'token' ? login.token : login.secret
}

const LASTING = 'a user with a password, or an application credential (openstack application credential create)'

/** Something that works, but not for long. */
export interface Warning {
  readonly found: string
  readonly advice: string
}

/** What will end the login. */
export const endOf = ({ kind }: Login): Warning | undefined =>
  kind === 'token'
    ? { found: 'the service logs in with a token, and stops when that ends', advice: `give it ${LASTING}` }
    : undefined

export function loginOf(said: Said): Login {
  if (/^2(\.|$)/.test(said.text('identity_api_version') ?? '')) {
    said.refuse('identity_api_version', 'version 2 of Keystone is not supported; set it to 3, or leave it out')
  }
  const kind = said.text('auth_type') ?? impliedKind(said)
  // These need no domain: for them the clients would find one out with Keystone.
  const isGeneric = kind === 'password' || kind === 'token'
  if (kind === 'v3applicationcredential') return credentialLogin(said, isGeneric)
  if (kind === 'token' || kind === 'v3token') {
    const token = said.needed('token', 'the token to log in with')
    return { kind: 'token', token, scope: scopeOf(said, isGeneric) }
  }
  if (kind !== 'password' && kind !== 'v3password') {
    const supported = 'use password (v3password), v3applicationcredential or token (v3token)'
    said.refuse('auth_type', `"${kind}" is not supported; ${supported}: give the service ${LASTING}`)
  }
  const user = userOf(said, isGeneric)
  const password = said.needed('password', "the user's password")
  return { kind: 'password', user, password, scope: scopeOf(said, isGeneric) }
}

/** The clients want to be told the type. What is meant is plain without it. */
function impliedKind(said: Said): string {
  if (said.has('password')) return 'password'
  const hasCredential = said.has('application_credential_id') || said.has('application_credential_name')
  return hasCredential ? 'v3applicationcredential' : said.has('token') ? 'token' : 'password'
}

function credentialLogin(said: Said, isGeneric: boolean): Login {
  const secret = said.needed('application_credential_secret', 'the secret of the application credential')
  const name = said.text('application_credential_name')
  if (said.has('application_credential_id') || name === undefined) {
    const id = said.needed('application_credential_id', 'the id of the application credential')
    return { kind: 'application_credential', credential: { id }, secret }
  }
  return { kind: 'application_credential', credential: { name, user: userOf(said, isGeneric) }, secret }
}

function scopeOf(said: Said, isGeneric: boolean): Target {
  const trustId = said.text('trust_id')
  if (trustId !== undefined) {
    if (said.has('project_id') || said.has('project_name')) {
      said.refuse('trust_id', 'leads to the project of the trust; leave out project_id and project_name, or the trust')
    }
    return { 'OS-TRUST:trust': { id: trustId } }
  }
  const id = said.text('project_id')
  if (id !== undefined) return { project: { id } }
  const name = said.needed('project_name', 'the project that holds the spares (or its project_id)')
  return { project: { name, domain: domainOf(said, isGeneric, 'project') } }
}

function userOf(said: Said, isGeneric: boolean): Named {
  const id = said.text('user_id')
  if (id !== undefined) return { id }
  const name = said.needed('username', 'the user to log in as (or its user_id)')
  return { name, domain: domainOf(said, isGeneric, 'user') }
}

/** An id beats a name, wherever each of them stands. `domain_id` and `domain_name` say it for user and project. */
function domainOf(said: Said, isGeneric: boolean, of: 'user' | 'project'): Domain {
  const first = (end: 'id' | 'name'): string | undefined =>
    said.text(`${of}_domain_${end}`) ??
    said.text(`domain_${end}`) ??
    (isGeneric ? said.text(`default_domain_${end}`) : undefined)
  const id = first('id')
  if (id !== undefined) return { id }
  const name = first('name')
  if (name !== undefined) return { name }
  if (isGeneric || said.text('identity_api_version') === '3') return { id: said.text('default_domain') ?? 'default' }
  const what = `the domain of the ${of}, often Default (or its ${of}_domain_id)`
  return { name: said.needed(`${of}_domain_name`, what) }
}
