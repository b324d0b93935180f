import assert from 'node:assert/strict'
import { type AsyncCommand, nat } from 'fast-check'
import { compare } from './compare.ts'
import type { Model } from './model.ts'
import type { Real } from './real.ts'

export type Command = AsyncCommand<Model, Real>

/** What is to be seen only once the ids are known. */
export type Afterwards = () => void

export interface Parts {
  readonly name: string
  readonly replica?: number
  /** Whether there is anything that it can be done to. */
  readonly when?: (model: Readonly<Model>) => boolean
  readonly run: (model: Model, real: Real) => Promise<Afterwards | undefined> | undefined
}

/** One thing that happens. A second later, so that ages differ, the service and its cloud must be as the model has them. */
export const command = ({ name, replica = 0, when = () => true, run }: Parts): Command => ({
  check: when,
  toString: () => (replica === 0 ? name : `${name}, at the other replica`),
  async run(model, real) {
    const afterwards = await run(model, real)
    model.now += 1
    real.pass(1)
    await compare(model, real, replica)
    afterwards?.()
  }
})

/** One after the other, as far as they can be done: what chance alone seldom brings about. */
export const series = (commands: readonly Command[]): Command => ({
  check: () => true,
  toString: () => commands.map(String).join(', '),
  async run(model, real) {
    for (const one of commands) if (one.check(model)) await one.run(model, real)
  }
})

export const POOLS = ['debian12 ssd', 'debian12 sas']
export const replica = nat(1)

/** One of those that there are, whatever the number: it is drawn before anybody knows how many there will be. */
export function at<T>(from: readonly T[], pick: number): T {
  const one = from[pick % from.length]
  assert.ok(one !== undefined)
  return one
}
