import type { Clock } from '../pool/ports.ts'

const AGE_MAX_MS = 1000

/**
 * Shares one read among all who ask while it is under way, or within a second of its start. However many ask, and however
 * long a read hangs, there is never a second one beside it. A failed read is not kept.
 */
export function shared<T>(clock: Clock, read: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly result: Promise<T> } | undefined
  let isUnderWay = false
  const isFresh = (at: number): boolean => clock.monotonicMs() - at <= AGE_MAX_MS
  return () => {
    if (last && (isUnderWay || isFresh(last.at))) return last.result
    isUnderWay = true
    last = { at: clock.monotonicMs(), result: read() }
    last.result.then(
      () => (isUnderWay = false),
      () => ([isUnderWay, last] = [false, undefined])
    )
    return last.result
  }
}
