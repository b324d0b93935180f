/** What an AbortSignal is to those who heed it. */
export interface StopSignal {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** An AbortController and its signal in one, without the weight of an EventTarget: each claim makes a handful. */
export class Stop implements StopSignal {
  aborted = false
  reason: unknown
  #listeners: (() => void)[] = []

  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    for (const listener of this.#listeners.splice(0)) listener()
  }

  /** As with an AbortSignal, nothing is told that it has fired already: look at `aborted` first. */
  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.aborted) this.#listeners.push(listener)
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const index = this.#listeners.indexOf(listener)
    if (index >= 0) this.#listeners.splice(index, 1)
  }
}

/** Fires with the first of them. For what ends before they do, or as they do: it listens to them for ever. */
export function anyOf(signals: readonly StopSignal[]): StopSignal {
  const any = new Stop()
  for (const signal of signals) {
    if (signal.aborted) any.abort(signal.reason)
    else signal.addEventListener('abort', () => any.abort(signal.reason))
  }
  return any
}
