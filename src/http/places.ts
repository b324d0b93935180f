import type { PoolError } from '../pool/errors.ts'

/** Runs work while fewer than `max` works of the same key are under way, and refuses it otherwise. */
export function places(max: number, refusal: (taken: number, key: string) => PoolError) {
  const taken = new Map<string, number>()
  return async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const before = taken.get(key) ?? 0
    if (before >= max) throw refusal(before, key)
    taken.set(key, before + 1)
    try {
      return await work()
    } finally {
      const left = (taken.get(key) ?? 1) - 1
      if (left > 0) taken.set(key, left)
      else taken.delete(key)
    }
  }
}
