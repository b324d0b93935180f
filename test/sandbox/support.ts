import type { TestContext } from 'vitest'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/server.ts'
import { passwordAuth, Session, send } from '../support/session.ts'

export { type Answer, assertFault, passwordAuth, Session, send } from '../support/session.ts'

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
export async function aCloud(t: TestContext, options: Omit<SandboxOptions, 'clock'> = {}): Promise<Cloud> {
  const clock = new TestClock()
  const sandbox = await startSandbox({ ...options, clock })
  t.onTestFinished(() => sandbox.close())
  const delays = sandbox.cloud.delays
  sandbox.cloud.delays = { ...delays, token_issue: 0 }
  const login = async (user: string, project: string): Promise<Session> => {
    const session = new Session(await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, passwordAuth(user, project)))
    const { maxMinor, hasNewTransferPath } = sandbox.cloud.traits
    session.minor = Math.min(session.minor, maxMinor)
    if (!hasNewTransferPath) session.transfersPath = '/os-volume-transfer'
    return session
  }
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
