import type { Said } from './layers.ts'

type Domain = { id: string } | { name: string }
type Named = { id: string } | { name: string; domain: Domain }
type Target = { project: Named } | { 'OS-TRUST:trust': { id: string } }

/** Who logs in, and to what, as Keystone wants it. */
export interface Login {
  readonly identity: object
  /** Undefined: the project of an application credential, and no other. */
  readonly scope: Target | undefined
  /** Never quoted in a message. */
  readonly secret: string
  readonly warnings: readonly Warning[]
}

/** Something that works, but not for long. */
export interface Warning {
  readonly found: string
  readonly advice: string
}

/** What Keystone is sent for a token of the login's own scope, or of another. */
export const loginBody = ({ identity, scope: own }: Login, scope = own): object =>
  scope ? { identity, scope } : { identity }

const LASTING = 'a user with a password, or an application credential (openstack application credential create)'
const ENDS = { found: 'the service logs in with a token, and stops when that ends', advice: `give it ${LASTING}` }

export function loginOf(said: Said): Login {
  if (/^2(\.|$)/.test(said.text('identity_api_version') ?? '')) {
    said.refuse('identity_api_version', 'version 2 of Keystone is not supported; set it to 3, or leave it out')
  }
  const kind = kindOf(said)
  if (kind === 'v3applicationcredential') {
    const secret = said.needed('application_credential_secret', 'the secret of the application credential')
    const application_credential = { ...credentialOf(said), secret }
    const identity = { methods: ['application_credential'], application_credential }
    return { identity, scope: undefined, secret, warnings: [] }
  }
  if (kind === 'token' || kind === 'v3token') {
    const secret = said.needed('token', 'the token to log in with')
    const identity = { methods: ['token'], token: { id: secret } }
    return { identity, scope: scopeOf(said), secret, warnings: [ENDS] }
  }
  if (kind !== 'password' && kind !== 'v3password') {
    const supported = 'use password (v3password), v3applicationcredential or token (v3token)'
    said.refuse('auth_type', `"${kind}" is not supported; ${supported}: give the service ${LASTING}`)
  }
  const user = userOf(said)
  const secret = said.needed('password', "the user's password")
  const identity = { methods: ['password'], password: { user: { ...user, password: secret } } }
  return { identity, scope: scopeOf(said), secret, warnings: [] }
}

/** The clients want to be told the type. What is meant is plain without it. */
function kindOf(said: Said): string {
  const stated = said.text('auth_type')
  if (stated !== undefined) return stated
  if (said.has('password')) return 'password'
  if (said.has('application_credential_id') || said.has('application_credential_name')) return 'v3applicationcredential'
  return said.has('token') ? 'token' : 'password'
}

function credentialOf(said: Said): object {
  const name = said.text('application_credential_name')
  if (name !== undefined && !said.has('application_credential_id')) return { name, user: userOf(said) }
  return { id: said.needed('application_credential_id', 'the id of the application credential') }
}

function scopeOf(said: Said): Target {
  const trustId = said.text('trust_id')
  if (trustId === undefined) return { project: namedOf(said, 'project', 'the project that holds the spares') }
  if (said.has('project_id') || said.has('project_name')) {
    said.refuse('trust_id', 'leads to the project of the trust; leave out project_id and project_name, or the trust')
  }
  return { 'OS-TRUST:trust': { id: trustId } }
}

const userOf = (said: Said): Named => namedOf(said, 'user', 'the user to log in as')

/** Such as `project_id`; else `project_name`, in a domain. */
function namedOf(said: Said, of: 'user' | 'project', what: string): Named {
  const id = said.text(`${of}_id`)
  if (id !== undefined) return { id }
  const name = said.needed(of === 'user' ? 'username' : 'project_name', `${what} (or its ${of}_id)`)
  return { name, domain: domainOf(said, of) }
}

/** An id beats a name, wherever each of them stands. `domain_id` and `domain_name` say it for user and project. */
function domainOf(said: Said, of: 'user' | 'project'): Domain {
  const kind = kindOf(said)
  // These need no domain: for them the clients would find one out with Keystone.
  const isGeneric = kind === 'password' || kind === 'token'
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
