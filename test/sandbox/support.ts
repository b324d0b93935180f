import assert from 'node:assert/strict'
import { Agent, type Dispatcher, request } from 'undici'
import type { TestContext } from 'vitest'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts'

/** Time that only a test moves. Whoever sleeps wakes in order, and what it then does is done before the next wakes. */
export class TestClock {
  #now = Date.parse('2026-11-23T10:00:00.250Z')
  #sleepers: { at: number; wake: () => void }[] = []

  now(): Date {
    return new Date(this.#now)
  }

  sleep(ms: number): Promise<void> {
    return new Promise(wake => this.#sleepers.push({ at: this.#now + ms, wake }))
  }

  /** Waits until so many are asleep: they have come as far as they can. */
  async asleep(count: number): Promise<void> {
    while (this.#sleepers.length < count) await settled()
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      const next = this.#sleepers.filter(({ at }) => at <= end).toSorted((left, right) => left.at - right.at)[0]
      if (!next) break
      this.#sleepers = this.#sleepers.filter(sleeper => sleeper !== next)
      this.#now = next.at
      next.wake()
      await settled()
    }
    this.#now = end
    await settled()
  }
}

/** Everything that could go on has gone on. */
export const settled = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

type Json = Record<string, unknown>
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  readonly body: Body
}
/** An answer's body, without a type: tests look into it by path, and a wrong path fails them. */
export type Body = ReturnType<typeof JSON.parse>

export async function send(
  method: Dispatcher.HttpMethod,
  url: string,
  headers: Json = {},
  body?: unknown
): Promise<Answer> {
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
  return { status: answer.statusCode, headers: received, text, body: text === '' ? undefined : JSON.parse(text) }
}
const agent = new Agent({ pipelining: 0 })

export const passwordAuth = (user: string, project?: string, password = 'sandbox'): Json => ({
  auth: {
    identity: { methods: ['password'], password: { user: { name: user, domain: { id: 'default' }, password } } },
    ...(project === undefined ? {} : { scope: { project: { name: project, domain: { name: 'Default' } } } })
  }
})

/** One user in one project. */
export class Session {
  readonly #base: string
  readonly token: string
  readonly projectId: string
  readonly userId: string

  constructor(url: string, { headers, body }: Answer) {
    this.token = headers['x-subject-token'] ?? ''
    this.projectId = body.token.project.id
    this.userId = body.token.user.id
    this.#base = `${url}/volume/v3/${this.projectId}`
  }

  /** A call to Cinder, at microversion 3.60 unless told otherwise; 0: without the header. */
  call(method: Dispatcher.HttpMethod, path: string, body?: unknown, minor = 60): Promise<Answer> {
    const version = minor === 0 ? {} : { 'openstack-api-version': `volume 3.${minor}` }
    return send(method, this.#base + path, { 'x-auth-token': this.token, ...version }, body)
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
    const answer = await this.call('POST', '/volume-transfers', { transfer: { volume_id: volumeId, ...more } })
    assert.equal(answer.status, 202, answer.text)
    return answer.body.transfer
  }

  accept(transfer: { id: string; auth_key: string }): Promise<Answer> {
    return this.call('POST', `/volume-transfers/${transfer.id}/accept`, { accept: { auth_key: transfer.auth_key } })
  }

  action(volumeId: string, name: string, wish: Json = {}): Promise<Answer> {
    return this.call('POST', `/volumes/${volumeId}/action`, { [name]: wish })
  }
}

export interface Cloud {
  readonly sandbox: Sandbox
  readonly clock: TestClock
  readonly pool: Session
  readonly tenant: Session
  readonly rival: Session
  readonly admin: Session
  readonly snapshotId: string
  readonly login: (user: string, project: string) => Promise<Session>
}

/** A sandbox of a test's own, without delays on a clock that stands still, and everyone logged in. */
export async function aCloud(t: TestContext, options: SandboxOptions = {}): Promise<Cloud> {
  const clock = new TestClock()
  const sandbox = await startSandbox({ clock, ...options })
  t.onTestFinished(() => sandbox.close())
  const delays = sandbox.cloud.delays
  sandbox.cloud.delays = { ...delays, token_issue: 0 }
  const login = async (user: string, project: string): Promise<Session> =>
    new Session(sandbox.url, await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, passwordAuth(user, project)))
  const [pool, tenant, rival, admin] = await Promise.all([
    login('pool-svc', 'pool'),
    login('tenant-a-user', 'tenant-a'),
    login('tenant-b-user', 'tenant-b'),
    login('admin', 'pool')
  ])
  sandbox.cloud.delays = delays
  const golden = [...sandbox.cloud.snapshots.values()].find(({ name }) => name === 'debian12_ssd_20261101')
  return { sandbox, clock, pool, tenant, rival, admin, snapshotId: golden?.id ?? '', login }
}

/** An answer is this refusal, to the letter. */
export function assertFault(answer: Answer, status: number, fault: string, message: string | RegExp): void {
  assert.equal(answer.status, status, answer.text)
  const { code, message: said, ...rest } = answer.body[fault] ?? {}
  assert.equal(code, status, answer.text)
  if (typeof message === 'string') assert.equal(said, message)
  else assert.match(said, message)
  assert.deepEqual(rest, status === 413 ? { retryAfter: '0' } : fault === 'error' ? { title: rest.title } : {})
  if (status === 413) assert.equal(answer.headers['retry-after'], '0')
}
