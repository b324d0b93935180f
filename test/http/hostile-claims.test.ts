import assert from 'node:assert/strict'
import {
  type Arbitrary,
  array,
  asyncProperty,
  assert as check,
  constant,
  constantFrom,
  integer,
  oneof,
  option,
  record,
  string
} from 'fast-check'
import { beforeAll, describe, it } from 'vitest'
import type { FaultRule } from '../../sandbox/faults.ts'
import { nasty } from '../support/arbitrary-of.ts'
import { makeVolume, setStatus, volumeIn } from '../support/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

/** A claim, and what goes wrong beside it. */
interface Hostile {
  readonly body: Readonly<Record<string, unknown>>
  readonly key?: string | undefined
  /** Strikes one call, and only while this claim is served. */
  readonly fault?: FaultRule | undefined
  /** A volume of its name that its project has already, and how that is. */
  readonly inTheWay?: 'blank' | 'error' | 'creating' | undefined
}

const RUNS = 12
const TARGET = 4
const PROJECTS = ['tenant-a', 'tenant-b']
const QUOTA_GIB = 100

const short = string({ unit: 'binary', minLength: 1, maxLength: 12 })
const blank = constantFrom(' ', '\u00a0', '\u2028', '\u3000', '\ufeff', '\t', '\u0085')
/** Of every kind that a name in Cinder, a column of MySQL or PostgreSQL, a URL or a log may stumble over. */
const names: Arbitrary<string> = oneof(
  { arbitrary: constantFrom('web', 'WEB', 'web ', ' web', 'wéb', 'we\u0301b', 'WEB\u202e', 'ı', 'İ', 'ß'), weight: 3 },
  { arbitrary: constantFrom('😀-01', '\u{10000}', '\ud83d', 'a\u0000', '\uffff', 'spare-1'), weight: 2 },
  { arbitrary: integer({ min: 240, max: 256 }).map(length => 'é'.repeat(length)), weight: 1 },
  {
    arbitrary: record({ before: blank, name: short, after: blank }).map(it => it.before + it.name + it.after),
    weight: 1
  },
  { arbitrary: short, weight: 1 },
  { arbitrary: nasty, weight: 1 }
)
const projects = constantFrom<string | undefined>('tenant-a', 'tenant-a', 'tenant-b', undefined, 'nowhere', 'ü/..')
const hostnames = constantFrom('one', 'two', 'three')

/** What is wrong with a claim, each kind by itself. */
const KINDS: Readonly<Record<string, Arbitrary<Hostile>>> = {
  'an odd name, os, type, category or key': record({
    body: record({
      hostname: names,
      os: oneof({ arbitrary: constant('debian12'), weight: 5 }, names),
      type: oneof({ arbitrary: constantFrom('ssd', 'SSD', 'Ssd'), weight: 5 }, names),
      category: oneof({ arbitrary: constant('sys'), weight: 5 }, names),
      project_id: projects
    }),
    key: option(constantFrom('key', 'k'.repeat(255), 'two words', ' ', "';--"), { nil: undefined })
  }),
  'a project that cannot be reached': record({
    body: record({ hostname: hostnames, project_id: oneof(constantFrom('nowhere', '..', 'a'.repeat(255)), names) })
  }),
  'an image that there is not, or another than before': record({
    body: record({
      hostname: hostnames,
      os: constantFrom('debian12', 'windows2022', 'beos', 'DEBIAN12'),
      type: constantFrom('ssd', 'sas', 'nvme'),
      on_empty: constantFrom('create', 'fail')
    })
  }),
  'a volume in its way': record({
    body: record({ hostname: hostnames, project_id: constantFrom('tenant-a', 'tenant-b') }),
    inTheWay: constantFrom('blank', 'error', 'creating')
  }),
  'a name that Cinder refuses or fails at': record({
    body: record({ hostname: hostnames, project_id: constantFrom('tenant-a', 'tenant-b', undefined) }),
    fault: record({ status: constantFrom(400, 500), acts: constantFrom(false, true) }).map(how => ({
      operation: 'volume_update' as const,
      kind: 'status' as const,
      count: 1,
      status: how.status,
      acts: how.acts && how.status === 500
    }))
  }),
  'a size beyond its quota': record({
    body: record({
      hostname: hostnames,
      project_id: constantFrom('tenant-a', 'tenant-b'),
      size: oneof(constantFrom(1, 20, 21, 65_536), integer({ min: 1, max: 65_536 })),
      on_empty: constantFrom('create', 'fail')
    })
  }),
  'a project that may not accept it': record({
    body: record({ hostname: hostnames, project_id: constantFrom('tenant-a', 'tenant-b') }),
    fault: constantFrom<FaultRule>(
      { operation: 'transfer_accept', kind: 'over_quota', count: 1 },
      { operation: 'transfer_accept', kind: 'status', status: 403, count: 1 }
    )
  })
}

/** A fault of a claim's own never costs the pool a spare: those that are missing afterwards are those that were given. */
describe.each(['cinder', 'claims'] as const)(
  'whatever claims ask for, with claims.check_existing %s',
  checkExisting => {
    const t = whileTestsRun()
    let service: TestService
    const answers = new Map<string, number>()
    beforeAll(async () => {
      const config = { pools: [{ ...DEBIAN, target: TARGET }], claims: { check_existing: checkExisting } }
      service = await aService(t, { config })
      for (const name of PROJECTS) service.sandbox.cloud.quotas.set(`${service.project(name)} gigabytes`, QUOTA_GIB)
    })

    const idOf = (name: unknown): unknown => (PROJECTS.includes(String(name)) ? service.project(String(name)) : name)

    const send = async ({ body, key, fault, inTheWay }: Hostile): Promise<void> => {
      const { project_id, hostname } = body
      if (inTheWay) {
        const id = await makeVolume(service, `${String(hostname)}_sys`, String(project_id), inTheWay !== 'blank')
        if (inTheWay !== 'blank') setStatus(service, id, inTheWay)
      }
      if (fault) service.sandbox.cloud.addFault(fault)
      const { status, body: answer } = await service.claim(
        { ...body, project_id: idOf(project_id) },
        key === undefined ? {} : { 'idempotency-key': key }
      )
      service.sandbox.cloud.faults.remove()
      const kind = status < 300 ? answer.source : answer.code
      answers.set(kind, (answers.get(kind) ?? 0) + 1)
    }

    const inStock = async () => (await service.spares()).filter(({ status }) => status === 'available')

    /** After a reconcile and a refill. */
    const assertNothingLost = async (before: Awaited<ReturnType<typeof inStock>>): Promise<void> => {
      service.clock.pass(60)
      await service.call('POST', '/pool/reconcile')
      await service.fill()
      const given = new Set((await service.claims()).map(({ volume_id }) => volume_id))
      const after = new Map((await inStock()).map(spare => [spare.id, spare.volume_id]))
      const lost = before.filter(({ id, volume_id }) => !given.has(volume_id) && after.get(id) !== volume_id)
      assert.deepEqual(lost, [], 'spares that no claim was given are in stock no more')
      assert.equal(after.size, TARGET)
      for (const [id, volumeId] of after) assert.equal(volumeIn(service, volumeId ?? '').name, `spare-${id}`)
    }

    /** What tenants have goes, so that their quota does not run out. */
    const tidyUp = (): void => {
      for (const project of PROJECTS) {
        for (const { id } of service.volumes(project)) service.sandbox.cloud.volumes.remove(volumeIn(service, id))
      }
    }

    const all = [...Object.entries(KINDS), ['all of it together', oneof(...Object.values(KINDS))] as const] as const
    it.for(all)('%s costs the pool no spare', { timeout: 120_000 }, async ([, hostile]) => {
      answers.clear()
      const property = asyncProperty(array(hostile, { minLength: 2, maxLength: 6 }), async claims => {
        tidyUp()
        await service.fill()
        const before = await inStock()
        for (const claim of claims) await send(claim)
        await assertNothingLost(before)
      })
      await check(property, { numRuns: RUNS, endOnFailure: true })
      assert.ok([...answers.values()].reduce((sum, count) => sum + count, 0) >= RUNS * 2)
    })
  }
)
