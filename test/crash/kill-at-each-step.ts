import assert from 'node:assert/strict'
import { beforeAll, describe, it } from 'vitest'
import { traitsOf } from '../../sandbox/releases.ts'
import { CLOUD_SETTING } from '../support/cloud-setting.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { isLook } from '../support/looks.ts'
import { seed } from '../support/seed.ts'
import { aHome, type Home } from './home.ts'
import type { Scenario } from './scenario.ts'
import { aStage } from './stage.ts'

const ROLES = ['member', 'admin'] as const

/** `all` of a scenario's steps, as both roles; `each` of them, as one role or the other; else one, as one role, by the seed. */
const KILLS = process.env['KILLS'] ?? 'some'

/** Of a scenario in both roles, each has a turn of its own. */
function drawn(steps: readonly string[], turn: number, isOfBothRoles: boolean): readonly string[] {
  if (KILLS === 'all' || (KILLS === 'each' && !isOfBothRoles)) return steps
  if (KILLS === 'each') return steps.filter((_, index) => (seed + turn + index) % 2 === 0)
  return steps.filter((_, index) => index === (seed + turn) % steps.length)
}

/**
 * The process is gone between two steps. So it is when it dies at a step: in the middle of a statement or a transaction,
 * which comes to nothing or is done, or while it waits for the cloud, which has acted or not. After a step that only looks
 * all is as it was before it, so nobody needs to be killed there.
 */
export function killAtEachStep(scenarios: readonly Scenario[]): void {
  const lifetime = whileTestsRun()
  let home: Home
  beforeAll(async () => {
    home = await aHome(lifetime)
  })

  const ours = scenarios.filter(({ notOn }) => !notOn?.(traitsOf(CLOUD_SETTING.release)))
  const settings = ours.flatMap((scenario, turn) =>
    (scenario.options?.user ? [undefined] : KILLS === 'some' ? [ROLES[(seed + turn) % 2]] : ROLES).map(
      role => [scenario.name, role ?? scenario.options?.user, scenario, role] as const
    )
  )
  describe.for(settings.map((setting, turn) => [...setting, turn] as const))('%s, where the service is %s', setting => {
    const [, , scenario, role, turn] = setting
    const { given, steps, afterwards, whenRepeated } = scenario
    const options = { ...scenario.options, ...(role && { role }) }

    it('takes these steps, and holds nothing in the database while it asks the cloud', async t => {
      const stage = await aStage(t, home, options)
      const recorded = await stage.record(await given(stage))
      const names = recorded.map(({ name }) => name)
      assert.deepEqual(names, steps)
      const untrue = recorded.filter(({ name, changed }) => changed && isLook(name))
      assert.deepEqual(untrue, [], 'these do not only look')
    })

    const failPoints = steps.filter(step => !isLook(step))

    it.for(drawn(failPoints, turn, role !== undefined))(
      'is mended by reconcile when it was killed after %s',
      async (step, t) => {
        const stage = await aStage(t, home, options)
        const act = await given(stage)
        const stock = stage.stock()
        await stage.killAfter(step, act)
        await stage.recover()
        await afterwards?.(stage, act, stock)
        await stage.mend()
      }
    )

    it.for(whenRepeated ? drawn(failPoints, turn + 1, role !== undefined) : [])(
      'is finished by its repeat when it was killed after %s',
      async (step, t) => {
        const stage = await aStage(t, home, options)
        const act = await given(stage)
        const stock = stage.stock()
        await stage.killAfter(step, act)
        stage.endLeases()
        await whenRepeated?.(stage, act, stock)
        await stage.mend()
      }
    )
  })
}
