/** How much CPU time processes have used, from Linux's /proc. */
import { readdirSync, readFileSync } from 'node:fs'

interface Process {
  readonly parent: number
  readonly ms: number
  /** Of its children that have ended. */
  readonly endedMs: number
}

export type Processes = ReadonlyMap<number, Process>

/** Linux counts in hundredths of a second, whatever its own clock. */
export const MS_A_TICK = 10

export function readProcesses(): Processes {
  const processes = new Map<number, Process>()
  for (const name of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      // After the name, which may hold anything: state, parent, …, user and system time (fields 14 to 17 of proc(5)).
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const ms = (first: number): number => (Number(fields[first]) + Number(fields[first + 1])) * MS_A_TICK
      processes.set(Number(name), { parent: Number(fields[1]), ms: ms(11), endedMs: ms(13) })
    } catch {
      // It has ended meanwhile.
    }
  }
  return processes
}

/** A process and all below it, itself first. */
export function treeOf(processes: Processes, root: number): number[] {
  const tree = [root]
  for (const pid of tree) {
    for (const [child, { parent }] of processes) if (parent === pid) tree.push(child)
  }
  return tree
}
