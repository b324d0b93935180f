import { setTimeout as pause } from 'node:timers/promises'
import { Random } from '../../sandbox/random.ts'
import { deleteVolume } from '../../sandbox/volumes.ts'
import { Callers, type Wish } from '../../test/processes/callers.ts'
import { CloudFaults } from '../../test/processes/cloud-faults.ts'
import { mend, operate } from '../../test/processes/mend.ts'
import type { ServiceProcess } from '../../test/processes/service-process.ts'
import type { PoolTarget, Stage } from '../../test/processes/stage.ts'

export const POOLS: readonly PoolTarget[] = [
  { os: 'debian12', type: 'ssd', target: 20 },
  { os: 'debian12', type: 'sas', target: 10 },
  { os: 'windows2022', type: 'ssd', target: 5 }
]

const CALLERS = 16
const HOSTS = 400
const FAULTS_CHANGE_MS = 1_000

/** What came of it. */
export interface Loaded {
  claims: number
  readonly answers: Map<string, number>
  readonly strikes: Map<string, number>
}

/** So many claims a second, on a cloud with all its faults; every disk is deleted by its owner as soon as it is there. */
export async function load(
  stage: Stage,
  service: ServiceProcess,
  { seed, rate, seconds }: { seed: number; rate: number; seconds: number },
  loaded: Loaded
): Promise<void> {
  const over = AbortSignal.timeout(seconds * 1_000)
  const faults = new CloudFaults(stage, new Random(seed, 'faults'))
  const asking = new Callers(stage, [service], new Random(seed, 'callers'))
  const hosts = Array.from({ length: HOSTS }, (_, index) => wishOf(index))
  const trouble = async (): Promise<void> => {
    while (!over.aborted) {
      faults.change()
      await mend(stage)
      await operate(stage, [service], '/pool/resume')
      await pause(FAULTS_CHANGE_MS)
    }
  }
  const caller = async (_: unknown, index: number): Promise<void> => {
    for (let turn = index; !over.aborted; turn += CALLERS) {
      const wish = hosts[turn % HOSTS] as Wish
      const next = pause((1_000 * CALLERS) / rate)
      await asking.ask([wish], 1, over)
      for (const id of asking.told.given.get(wish)?.keys() ?? []) {
        if (stage.cloud.volumes.get(id)) deleteVolume(stage.cloud, stage.admin, id)
      }
      asking.told.given.delete(wish)
      await next
    }
  }
  await Promise.all([trouble(), ...Array.from({ length: CALLERS }, caller)])
  faults.end()
  await asking.close()
  loaded.claims += asking.served
  for (const [answer, count] of asking.told.answers) add(loaded.answers, answer, count)
  for (const [kind, count] of faults.strikes) add(loaded.strikes, kind, count)
}

function wishOf(index: number): Wish {
  const { os = '', type = '' } = POOLS[index % 7 < 4 ? 0 : index % 7 < 6 ? 1 : 2] ?? {}
  return { project: index % 2 === 0 ? 'tenant-a' : 'tenant-b', hostname: `soak-${index}`, os, type }
}

const add = (counts: Map<string, number>, key: string, count: number): void =>
  void counts.set(key, (counts.get(key) ?? 0) + count)
