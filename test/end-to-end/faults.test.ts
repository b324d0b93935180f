import assert from 'node:assert/strict'
import { afterEach, beforeAll, beforeEach, describe, it } from 'vitest'
import { query } from '../../src/store/connection/database.ts'
import { cloudsEntry, ctl, loggedIn, type Part } from '../openstack/cloud.ts'
import { eventually } from '../support/eventually.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import type { Answer, Body } from '../support/session.ts'
import { audit } from './audit.ts'
import { aRealService, assertProblem, given, type RealService } from './support.ts'
import { allVolumes } from './sweep.ts'

const lifetime = whileTestsRun()
let real: RealService

beforeAll(async () => {
  real = await aRealService(lifetime)
})
beforeEach(() => real.full())
/** What mends the parts that a test has broken and has not mended itself, because it failed. */
const mends = new Set<() => Promise<unknown>>()

/** Whatever was broken: nobody does anything about it, and all is as it should be. */
afterEach(async () => {
  for (const mend of mends) await mend()
  await real.full()
  await audit(real)
})

/** Does what is to be undone at the end of the test at the latest; gives what undoes it. */
async function meanwhile(begin: () => Promise<unknown>, end: () => Promise<unknown>): Promise<() => Promise<void>> {
  const mend = async (): Promise<void> => {
    mends.delete(mend)
    await end()
  }
  mends.add(mend)
  await begin()
  return mend
}

/** Runs `ctl` with something that breaks the cloud, and with what mends it. */
const broken = (breaking: readonly string[], mending: readonly string[]) =>
  meanwhile(
    () => ctl(...breaking),
    () => ctl(...mending)
  )

/** Nothing is refilled. */
const paused = () =>
  meanwhile(
    () => real.call(real.admin, 'POST', '/pool/pause'),
    () => real.call(real.admin, 'POST', '/pool/resume')
  )

const stopped = (part: Part) => broken(['stop', part], ['start', part])
const killed = (part: Part) => broken(['kill', part], ['start', part])

/** How often a call of the service's to the cloud has ended so. */
async function requests(operation: string, outcome: string): Promise<number> {
  const metrics = await fetch(`${real.service.url}/metrics`)
  const counter = new RegExp(
    `^spare_pool_cloud_requests_total\\{.*operation="${operation}",outcome="${outcome}"\\} (\\d+)$`,
    'm'
  )
  return Number(counter.exec(await metrics.text())?.[1] ?? 0)
}

/** The spare of a claim bears its name already, and is not in its project yet: its accept is on its way. */
const isBeingAccepted = (hostname: string) => async (): Promise<boolean> =>
  (await allVolumes(real.admin)).some(
    ({ name, status }) => name === `${hostname}_sys` && status === 'awaiting-transfer'
  )

/** For what Cinder has been making for half a minute, ten times as long as it takes here: it is lost. */
const tenMinutesPass = async (): Promise<unknown> =>
  await query(
    real.service.db,
    `update backup_volumes set created_at = created_at - interval '10 minutes'
      where status = 'creating' and created_at between now() - interval '9 minutes' and now() - interval '30 seconds'`
  )

/** What only an administrator can do: the service may not delete what Cinder believes to be making. */
async function resetGivenUp(): Promise<void> {
  const { body } = await real.call(real.admin, 'GET', '/pool/volumes?status=retiring')
  const givenUp = new Set(body.volumes.map((spare: Body) => spare.volume_id))
  const volumes = await allVolumes(real.admin)
  const lost = volumes.filter(({ id, status }) => status === 'creating' && givenUp.has(id))
  for (const { id } of lost) await real.admin.action(id, 'os-reset_status', { status: 'error' })
}

/** Refused for now, in words, and with the time to come back. */
function assertComeBack(answer: Answer): void {
  assert.ok([502, 503, 504].includes(answer.status), answer.text)
  assert.match(answer.body.code, /^cloud_|^claim_unsettled$/)
  assert.ok(Number(answer.headers['retry-after']) > 0, answer.text)
}

describe('the service outlives', () => {
  it('a crash of cinder-volume in the middle of a create, whose volume it replaces', async () => {
    const quicken = await broken(['slow', '20'], ['slow', '0'])
    given(await real.claim(real.tenantA, { hostname: 'crash' }))
    const { id } = await eventually('a volume is being made', async () => {
      const creating = (await allVolumes(real.admin)).find(({ status }) => status === 'creating')
      const images = await ctl('rbd', 'ls', 'volumes-ssd')
      return images.includes(creating?.id ?? 'none') && creating
    })
    const restart = await killed('cinder-volume')
    await restart()
    await quicken()
    await real.full()
    assert.equal(
      (await allVolumes(real.admin)).some((volume: Body) => volume.id === id),
      false
    )
  })

  it('cinder-volume stopped under an accept, which it repeats when Cinder gives up', async () => {
    const before = await requests('transfer_accept', 'failed')
    const restart = await stopped('cinder-volume')
    const claiming = real.claim(real.tenantA, { hostname: 'late' })
    await eventually('the accept fails', async () => (await requests('transfer_accept', 'failed')) > before)
    await restart()
    assert.equal(given(await claiming).source, 'pool')
  })

  it('RabbitMQ stopped under an accept and a create, which it loses for ever', async () => {
    const listen = await stopped('cinder-scheduler')
    given(await real.claim(real.tenantA, { hostname: 'refill' }))
    const lost = await eventually('a create waits in RabbitMQ', async () =>
      (await allVolumes(real.admin)).find(({ status }) => status === 'creating')
    )
    const restart = await stopped('rabbitmq')
    const claiming = real.claim(real.tenantA, { hostname: 'rabbit' })
    await eventually('its accept is on its way', isBeingAccepted('rabbit'))
    await restart()
    await listen()
    assert.equal(given(await claiming).source, 'pool')
    await eventually(
      'what is lost is given up and replaced',
      async () => {
        await tenMinutesPass()
        await resetGivenUp()
        await real.full(5)
        return true
      },
      240
    )
    assert.equal(
      (await allVolumes(real.admin)).some(({ id }) => id === lost['id']),
      false
    )
  })

  it.for([
    ['MariaDB stopped', 'maria', () => stopped('mariadb')],
    ['a crash of cinder-api', 'api', () => killed('cinder-api')]
  ] as const)('%s: claims are told to come back, and then served', async ([, hostname, breakIt]) => {
    const restart = await breakIt()
    assertComeBack(await real.claim(real.tenantA, { hostname }))
    await restart()
    const answer = await real.served(real.tenantA, { hostname })
    assert.equal(given(answer).source, 'pool')
  })

  it('Keystone down: known callers are served, unknown ones told to come back, and none let in', async () => {
    await ctl('forget-tokens') // Cinder has last asked Keystone about them now, and not five minutes ago.
    given(await real.claim(real.tenantA, { hostname: 'known-1' }))
    const stranger = await loggedIn('tenant-b-user')
    await real.full()
    const restart = await stopped('keystone')
    assert.equal(given(await real.claim(real.tenantA, { hostname: 'known-2' })).source, 'pool')
    for (const token of [stranger.token, `${real.tenantA.token.slice(0, -8)}AAAAAAAA`]) {
      const answer = await real.claim({ token }, { hostname: 'unknown' })
      assertProblem(answer, 503, 'cloud_unavailable', /Keystone/)
      assert.ok(Number(answer.headers['retry-after']) > 0)
    }
    await restart()
    const answer = await real.served(stranger, { hostname: 'unknown' })
    assert.equal(given(answer).source, 'pool')
  })

  it("its own tokens revoked under it: it logs in again, on the claim's way", async () => {
    // So the next login, in most runs, falls into the second of the revocation, and gives a token that is dead from the start.
    await eventually('a second begins', async () => Date.now() % 1000 < 200)
    await changePassword()
    await ctl('forget-tokens')
    await eventually('Cinder refuses the old token', async () => {
      const { status } = await real.pool.call('GET', '/limits')
      return status === 401
    })
    assert.equal(given(await real.claim(real.tenantA, { hostname: 'revoked' })).source, 'pool')
  })

  it("its caller's token revoked after it was checked: the claim is refused, and its spare goes back", async () => {
    const caller = await loggedIn('tenant-b-user')
    given(await real.claim(caller, { hostname: 'before' }))
    await real.full()
    const revoked = await real.admin.keystone('DELETE', '/auth/tokens', undefined, caller.token)
    assert.equal(revoked.status, 204, revoked.text)
    await ctl('forget-tokens')
    const answer = await eventually('the token is refused', async () => {
      const refused = await real.claim(caller, { hostname: 'after' })
      return refused.status !== 200 && refused
    })
    assertProblem(answer, 401, 'unauthenticated', /get a new one/)
    await real.full()
    await audit(real)
    assert.equal(given(await real.claim(await loggedIn('tenant-b-user'), { hostname: 'after' })).source, 'pool')
  })

  it('Ceph hanging: what is in stock is handed out all the same, and what is not once it goes on', async () => {
    // A create would open its image in cinder-volume, and hang there with everything that comes after it, accepts too.
    const resume = await paused()
    const goOn = await broken(['pause', 'ceph-osd'], ['resume', 'ceph-osd'])
    for (const hostname of ['frozen-1', 'frozen-2', 'frozen-3']) {
      assert.equal(given(await real.claim(real.tenantA, { hostname })).source, 'pool')
    }
    const miss = given(await real.claim(real.tenantA, { hostname: 'frozen-4' }))
    assert.deepEqual([miss.status, miss.source], [202, 'created'])
    await goOn()
    await resume()
    const answer = await real.served(real.tenantA, { hostname: 'frozen-4' })
    assert.equal(given(answer).volumeId, miss.volumeId)
  })

  it('Ceph hanging under creates, with which cinder-volume and so accepts may hang too', async () => {
    const goOn = await broken(['pause', 'ceph-osd'], ['resume', 'ceph-osd'])
    const claiming = ['hung-1', 'hung-2', 'hung-3'].map(hostname => real.claim(real.tenantA, { hostname }))
    await eventually('the refill is under way', async () =>
      (await allVolumes(real.admin)).some(({ status }) => status === 'creating')
    )
    await goOn()
    const disks = (await Promise.all(claiming)).map(given)
    assert.deepEqual(new Set(disks.map(({ source }) => source)), new Set(['pool']))
  })
})

/** To the same one: an administrator's change of a password revokes the user's tokens. */
async function changePassword(): Promise<void> {
  const { password } = cloudsEntry('pool-svc')
  const changed = await real.admin.keystone('PATCH', `/users/${real.pool.userId}`, { user: { password } })
  assert.equal(changed.status, 200, changed.text)
}
