/** Whose CPU time it was: all of them share one machine. */
import { readProcesses, treeOf } from '../process-times.ts'

export type CpuTimes = Readonly<Record<string, number>>

/** Whose times a table shows, where one server answers claims. */
export const SHOWN = ['server', 'PostgreSQL', 'cloud', 'clients']

export interface Parties {
  readonly postmaster: number
  readonly cloud: number
  /** What answers claims, by name. */
  readonly servers: Readonly<Record<string, readonly number[]>>
}

/** Milliseconds that each has used so far. */
export function cpuTimes({ postmaster, cloud, servers }: Parties): CpuTimes {
  const processes = readProcesses()
  const used = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + (processes.get(pid)?.ms ?? 0), 0)
  return {
    ...Object.fromEntries(Object.entries(servers).map(([name, pids]) => [name, used(pids)])),
    PostgreSQL: used(treeOf(processes, postmaster)) + (processes.get(postmaster)?.endedMs ?? 0),
    cloud: used([cloud]),
    clients: used([process.pid])
  }
}

/** What was used between two looks, for each of so many. */
export const usedEach = (before: CpuTimes, after: CpuTimes, count: number): CpuTimes =>
  Object.fromEntries(Object.entries(after).map(([who, ms]) => [who, (ms - (before[who] ?? 0)) / count]))
