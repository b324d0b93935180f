import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** What of a process is in memory, in MiB. */
export function rssMib(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1_024
}

const LOOKS_EACH_MS = 50

/** The most that it had in memory while something was done. */
export async function mostDuring(pid: number, work: Promise<unknown>): Promise<number> {
  const done = new AbortController()
  const looking = (async () => {
    let most = rssMib(pid)
    while (!done.signal.aborted) {
      await pause(LOOKS_EACH_MS)
      most = Math.max(most, rssMib(pid))
    }
    return most
  })()
  try {
    await work
  } finally {
    done.abort()
  }
  return await looking
}
