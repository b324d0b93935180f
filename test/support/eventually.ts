import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 100

/** Asks a real cloud, which works in its own time, until it gives something; at most so long. Its failures count as a no. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  secondsMax = 120
): Promise<T> {
  const deadline = performance.now() + secondsMax * 1000
  for (;;) {
    const last = await ask().catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))))
    if (last !== undefined && last !== false && !(last instanceof Error)) return last
    if (performance.now() > deadline) {
      throw new Error(`Waited ${secondsMax} s in vain: ${what}`, { cause: last instanceof Error ? last : undefined })
    }
    await pause(POLL_MS)
  }
}
