/** Whose CPU time it was: the cloud, the service and the client share one machine. From Linux's /proc. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { RUN } from '../../test/openstack/cloud.ts'
import { MS_A_TICK, readProcesses, treeOf } from '../process-times.ts'
import { pause, type Stage, say } from './stage.ts'

/** Milliseconds since some moment, by who used them. */
export type CpuTimes = Readonly<Record<string, number>>

/** The cloud's processes, as `test/openstack/ctl` calls them, and how the table calls them. */
const CLOUD: Readonly<Record<string, string>> = {
  'cinder-api': 'cinder-api',
  'cinder-volume': 'cinder-volume',
  'cinder-scheduler': 'other parts of the cloud',
  keystone: 'other parts of the cloud',
  memcached: 'other parts of the cloud',
  rabbitmq: 'other parts of the cloud',
  mariadb: 'MariaDB',
  'ceph-mon': 'Ceph',
  'ceph-mgr': 'Ceph',
  'ceph-osd': 'Ceph'
}

/** What each has used so far. `rest` is everything else on the machine, the kernel's own threads too. */
export function cpuTimes(servicePid: number): CpuTimes {
  const processes = readProcesses()
  const times: Record<string, number> = {}
  const add = (who: string, pids: readonly number[]): void => {
    const used = pids.reduce((sum, pid) => sum + (processes.get(pid)?.ms ?? 0), 0)
    times[who] = (times[who] ?? 0) + used
  }
  for (const [part, who] of Object.entries(CLOUD)) add(who, treeOf(processes, pidOf(part)))
  add('service', [servicePid])
  add('its PostgreSQL', treeOf(processes, servicePid).slice(1))
  add('client', [process.pid])
  const known = Object.values(times).reduce((sum, ms) => sum + ms, 0)
  return { ...times, rest: machineTimes().busy - known }
}

/** What was used between two looks, for each of so many. */
export function usedEach(before: CpuTimes, after: CpuTimes, count: number): CpuTimes {
  return Object.fromEntries(Object.entries(after).map(([who, ms]) => [who, (ms - (before[who] ?? 0)) / count]))
}

const REST_SHARE = 0.15
const REST_SECONDS_MAX = 120

/**
 * Waits until nothing lingers of what went before (pages to be written, Ceph's deletions): all is on the disk, and for a
 * second the machine was busy, or waited for the disk, for less than 15 % of its time.
 */
export async function atRest(stage: Pick<Stage, 'signal'>): Promise<void> {
  await promisify(execFile)('sync')
  for (let seconds = 0; seconds < REST_SECONDS_MAX; seconds += 1) {
    const before = machineTimes()
    await pause(stage, 1_000)
    const after = machineTimes()
    const [busy, idle] = [after.busy + after.waiting - before.busy - before.waiting, after.idle - before.idle]
    if (busy < REST_SHARE * (busy + idle)) return
  }
  say(`the machine has not come to rest for ${REST_SECONDS_MAX} s (see top); measuring nevertheless`)
}

const pidOf = (part: string): number => Number.parseInt(readFileSync(join(RUN, `${part}.pid`), 'utf8'), 10)

function machineTimes(): { readonly busy: number; readonly idle: number; readonly waiting: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softirq = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(ticks => Number(ticks) * MS_A_TICK)
  return { busy: user + nice + system + irq + softirq, idle, waiting }
}
