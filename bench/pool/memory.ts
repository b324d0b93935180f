import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** What of a process is in memory, in MiB. */
export function rssMib(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1_024
}

const LOOKS_EACH_MS = 50

/** What it had in memory, again and again while something was done. */
export async function rssDuring(pid: number, work: Promise<unknown>): Promise<number[]> {
  const done = new AbortController()
  const looking = (async () => {
    const looks = [rssMib(pid)]
    while (!done.signal.aborted) {
      await pause(LOOKS_EACH_MS)
      looks.push(rssMib(pid))
    }
    return looks
  })()
  try {
    await work
  } finally {
    done.abort()
  }
  return await looking
}
