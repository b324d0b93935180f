import { cpus, loadavg, release, totalmem } from 'node:os'
import type { Headline } from './headline.ts'
import type { Refill } from './refill.ts'
import type { CheckExisting } from './service.ts'
import { capacity } from './stage.ts'

export interface Machine {
  readonly cores: number
  readonly processor: string
  readonly memoryGib: number
  readonly kernel: string
  readonly node: string
  readonly osdGib: number
  /** Of the minute before the run: what else the machine was doing. */
  readonly load: number
}

export interface Results {
  readonly machine: Machine
  readonly checkExisting: CheckExisting
  headline?: Headline
  refills?: readonly Refill[]
}

export async function machine(): Promise<Machine> {
  return {
    cores: cpus().length,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGib: totalmem() / 1024 ** 3,
    kernel: release(),
    node: process.version,
    osdGib: (await capacity()).totalGib,
    load: loadavg()[0] ?? 0
  }
}
