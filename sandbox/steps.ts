/** What is left of a call that waits in its middle: how long it waits, and what it then does. Meanwhile others act. */
export class Later<T> {
  readonly ms: number
  readonly act: () => T | Later<T>

  constructor(ms: number, act: () => T | Later<T>) {
    this.ms = ms
    this.act = act
  }
}

export type Stepwise<T> = T | Later<T>

/** Goes on with what a call gives, now or once it is done. */
export const once = <T, U>(result: Stepwise<T>, next: (value: T) => U): Stepwise<U> =>
  result instanceof Later ? new Later(result.ms, () => once(result.act(), next)) : next(result)
