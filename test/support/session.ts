/** A user's way to a Keystone and a Cinder, the sandbox's or a real one's: what goes over the wire, and nothing hidden. */
import assert from 'node:assert/strict'
import { Agent, type Dispatcher, request } from 'undici'

type Json = Record<string, unknown>
type Method = Dispatcher.HttpMethod

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  readonly body: Body
}
/** An answer's body, without a type: tests look into it by path, and a wrong path fails them. */
export type Body = ReturnType<typeof JSON.parse>

/** Cinder may take a minute for an accept, and as long as RabbitMQ is away for a create. */
const agent = new Agent({ pipelining: 0, headersTimeout: 120_000, bodyTimeout: 120_000 })

export async function send(method: Method, url: string, headers: Json = {}, body?: unknown): Promise<Answer> {
  const answer = await request(url, {
    method,
    dispatcher: agent,
    headers: Object.fromEntries(
      Object.entries({ 'content-type': body === undefined ? undefined : 'application/json', ...headers })
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, String(value)])
    ),
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) })
  })
  const text = await answer.body.text()
  const received = Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]))
  return { status: answer.statusCode, headers: received, text, body: parsed(text) }
}

/** Undefined for what is no JSON, such as a broken server's page. */
function parsed(text: string): Body {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const passwordAuth = (user: string, project?: string, password = 'sandbox'): Json => ({
  auth: {
    identity: { methods: ['password'], password: { user: { name: user, domain: { id: 'default' }, password } } },
    ...(project === undefined ? {} : { scope: { project: { name: project, domain: { name: 'Default' } } } })
  }
})

/** Who logs in, and where. */
export interface Login {
  /** Keystone's, with its `/v3`. */
  readonly authUrl: string
  readonly user: string
  readonly password: string
  readonly project: string
}

/** Logs in; `cinderUrl` (up to its `/v3`) is for a Keystone whose catalogue does not list Cinder yet. */
export async function logIn({ authUrl, user, password, project }: Login, cinderUrl?: string): Promise<Session> {
  const answer = await send('POST', `${authUrl}/auth/tokens`, {}, passwordAuth(user, project, password))
  assert.equal(answer.status, 201, answer.text)
  return new Session(answer, authUrl, cinderUrl)
}

/** One user in one project. */
export class Session {
  readonly token: string
  readonly projectId: string
  readonly userId: string
  /** Cinder's address in the project. */
  readonly cinderUrl: string
  /** The microversion that it asks for unless told otherwise: 3.60 at most. */
  minor = 60
  /** Where transfers are; before Rocky there is only `/os-volume-transfer`. */
  transfersPath = '/volume-transfers'
  readonly #authUrl: string

  /** From Keystone's answer to a login. */
  constructor({ headers, body: { token } }: Answer, authUrl = '', cinderUrl?: string) {
    this.token = headers['x-subject-token'] ?? ''
    this.projectId = token.project.id
    this.userId = token.user.id
    this.#authUrl = authUrl
    this.cinderUrl = cinderUrl === undefined ? cinderOf(token.catalog) : `${cinderUrl}/v3/${this.projectId}`
  }

  /** A call to Keystone, below its `/v3`; `subject` is a token that it is about. */
  keystone(method: Method, path: string, body?: unknown, subject?: string): Promise<Answer> {
    return send(method, this.#authUrl + path, { 'x-auth-token': this.token, 'x-subject-token': subject }, body)
  }

  /** A call to Cinder; microversion 0: without the header. */
  call(method: Method, path: string, body?: unknown, minor = this.minor): Promise<Answer> {
    const version = minor === 0 ? {} : { 'openstack-api-version': `volume 3.${minor}` }
    return send(method, this.cinderUrl + path, { 'x-auth-token': this.token, ...version }, body)
  }

  async get(path: string, minor?: number): Promise<Body> {
    const answer = await this.call('GET', path, undefined, minor)
    assert.equal(answer.status, 200, answer.text)
    return answer.body
  }

  async names(query: string, minor?: number): Promise<string[]> {
    const { volumes } = await this.get(`/volumes/detail?${query}`, minor)
    return volumes.map((volume: { name: string }) => volume.name)
  }

  async create(wish: Json = {}): Promise<Body> {
    const answer = await this.call('POST', '/volumes', { volume: { size: 1, name: 'disk', ...wish } })
    assert.equal(answer.status, 202, answer.text)
    return answer.body.volume
  }

  async arm(volumeId: string, more: Json = {}): Promise<Body> {
    const answer = await this.call('POST', this.transfersPath, { transfer: { volume_id: volumeId, ...more } })
    assert.equal(answer.status, 202, answer.text)
    return answer.body.transfer
  }

  accept(transfer: { id: string; auth_key: string }): Promise<Answer> {
    return this.call('POST', `${this.transfersPath}/${transfer.id}/accept`, { accept: { auth_key: transfer.auth_key } })
  }

  action(volumeId: string, name: string, wish: Json = {}): Promise<Answer> {
    return this.call('POST', `/volumes/${volumeId}/action`, { [name]: wish })
  }
}

const STORAGE = ['block-storage', 'volumev3', 'volumev2', 'volume']

/** The address ends in the project's id. Old clouds may have registered older versions alone, beside which v3 is. */
function cinderOf(
  catalog: readonly { type: string; endpoints: readonly { interface: string; url: string }[] }[]
): string {
  const cinder = STORAGE.map(wanted => catalog.find(({ type }) => type === wanted)).find(entry => entry !== undefined)
  const url = cinder?.endpoints.find(endpoint => endpoint.interface === 'public')?.url
  assert.ok(url, `the catalogue has no public endpoint of ${STORAGE.join(', ')}`)
  return url.replace(/\/v[12]\//, '/v3/')
}

/** An answer is this refusal, to the letter. */
export function assertFault(answer: Answer, status: number, fault: string, message: string | RegExp): void {
  assert.equal(answer.status, status, answer.text)
  assert.deepEqual(Object.keys(answer.body), [fault], answer.text)
  const { code, message: said, ...rest } = answer.body[fault]
  assert.equal(code, status, answer.text)
  if (typeof message === 'string') assert.equal(said, message)
  else assert.match(said, message)
  assert.deepEqual(rest, status === 413 ? { retryAfter: '0' } : fault === 'error' ? { title: rest.title } : {})
  if (status === 413) assert.equal(answer.headers['retry-after'], '0')
}
