/** What operators and clocks ask of the service. */
import assert from 'node:assert/strict'
import { type Arbitrary, constant, constantFrom, nat, record } from 'fast-check'
import { at, type Command, command, type Parts, POOLS, replica } from './command.ts'
import type { Model } from './model.ts'
import { type Targets, toPool } from './real.ts'
import { GIB, oldestFirst, type Spare } from './state.ts'

const tick = (path: string, expect: (model: Model) => object, when?: Parts['when']): Arbitrary<Command> =>
  replica.map(replica =>
    command({
      name: path,
      replica,
      ...(when && { when }),
      async run(model, real) {
        const { body } = await real.replica(replica).call<Record<string, unknown>>('POST', `/pool/${path}`)
        const expected = expect(model)
        assert.deepEqual(Object.fromEntries(Object.keys(expected).map(key => [key, body[key]])), expected)
        return undefined
      }
    })
  )

type Kept = Readonly<Model>

const isOnItsWay = (model: Kept, { volume }: Spare): boolean => model.has(volume) && volume.status === 'creating'

/** Its project refuses it, so it goes back into stock, or on to a claim that waits. */
const isPutBack = (model: Kept, spare: Spare): boolean =>
  spare.claim !== undefined && model.full.has(spare.claim.project) && model.fitsPool(spare)

/**
 * Claims are settled side by side, in no order: of a pool at most one whose disk is not simply on its way, or that takes one
 * from stock; and none that puts one back while others wait.
 */
const settlesInOrder = (model: Kept): boolean =>
  model.pools.every(({ name }) => {
    const creating = model.claims.filter(({ pool, status }) => pool === name && status === 'creating')
    const disks = model.spares.filter(({ pool, claim }) => pool === name && claim)
    const ended = disks.filter(disk => !isOnItsWay(model, disk))
    const takers = ended.length + model.stock(name).length > 0 ? creating.length - disks.length : 0
    const isPassedOn = ended.some(disk => isPutBack(model, disk)) && creating.length > 1
    return ended.length + takers <= 1 && !isPassedOn
  })

/** Spares are armed side by side, too: of a pool at most one comes into stock where claims wait for it. */
const arrivesInOrder = (model: Kept): boolean =>
  model.pools.every(({ name }) => {
    const ready = model.spares.filter(one => one.pool === name && !one.isFinished && one.volume.status === 'available')
    const arriving = ready.filter(one => one.status === 'creating' || isPutBack(model, one))
    const waiting = model.waitingFor({ pool: name, gib: GIB[name] ?? 0 }).filter(one => isOnItsWay(model, one))
    return arriving.length <= 1 || waiting.length === 0
  })

export const replenishTwice = constant(
  command({
    name: 'replenish at both replicas at once',
    async run(model, real) {
      const answers = await Promise.all(
        [0, 1].map(number => real.replica(number).call<{ requested: number }>('POST', '/pool/replenish'))
      )
      const requested = answers.reduce((sum, { body }) => sum + body.requested, 0)
      assert.deepEqual({ requested }, model.replenish())
      return undefined
    }
  })
)

export const syncs = record({ purge: constantFrom('all' as const, 'stale' as const, 'none' as const), replica }).map(
  ({ purge, replica }) =>
    command({
      name: `sync, purge ${purge}`,
      replica,
      async run(model, real) {
        const { body } = await real.replica(replica).sync({ purge })
        assert.deepEqual({ retired: body.retired }, model.sync(purge))
        return undefined
      }
    })
)

export const pauses = record({ pool: constantFrom(...POOLS), verb: constantFrom('pause', 'resume'), replica }).map(
  ({ pool, verb, replica }) =>
    command({
      name: `${verb} ${pool}`,
      replica,
      when: model => model.pools.some(({ name, target }) => name === pool && target !== undefined),
      async run(model, real) {
        const { status } = await real.replica(replica).call('POST', `/pool/${verb}`, toPool(pool))
        assert.equal(status, 200)
        model.setPaused(pool, verb === 'pause')
        return undefined
      }
    })
)

export const retirements = record({ pick: nat(9), replica }).map(({ pick, replica }) =>
  command({
    name: `retire spare ${pick}`,
    replica,
    when: model => model.spares.length > 0,
    async run(model, real) {
      const spare = at(model.spares.toSorted(oldestFirst), pick)
      const { body } = await real.replica(replica).call<{ code?: string }>('DELETE', `/pool/volumes/${spare.volume.id}`)
      assert.equal(body.code, model.retire(spare))
      return undefined
    }
  })
)

/** Few, since each is a pair of services to start. */
const TARGETS: readonly Targets[] = [
  { 'debian12 ssd': 3, 'debian12 sas': 2 },
  { 'debian12 ssd': 1, 'debian12 sas': 3 },
  { 'debian12 ssd': 4, 'debian12 sas': 0 },
  { 'debian12 ssd': 2 } // The other one is configured no more.
]

export const targetChanges = constantFrom(...TARGETS).map(targets =>
  command({
    name: `the targets are ${Object.values(targets).join(' and ')}`,
    async run(model, real) {
      await real.replace(targets)
      for (const pool of model.pools) pool.target = targets[pool.name]
      return undefined
    }
  })
)

export const replenishments = tick('replenish', model => model.replenish())
export const checks = tick('check', model => model.check(), arrivesInOrder)
export const reconciliations = tick('reconcile', model => model.reconcile(), settlesInOrder)
