import { setTimeout as pause } from 'node:timers/promises'
import { type Database, query } from '../../../src/store/connection/database.ts'
import { type Lifetime, withinLifetime } from '../../lifetime.ts'
import { type Figure, type Findings, spread } from '../findings.ts'
import { startService } from '../service-process.ts'
import { type Stage, say } from '../stage.ts'

interface Plan {
  readonly slots: number
  readonly volumes: number
  /** How long the cloud takes for a volume, and how often it is tried. */
  readonly cases: readonly { readonly seconds: number; readonly rounds: number; readonly goal?: Figure['goal'] }[]
}

/** Once the names say that they are identical, the service uses snapshots in turn, and the cloud makes volumes side by side. */
const SNAPSHOT_NAME = '^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)-(?<replica>[a-z])$'
const PATIENCE = 10

/** From an empty pool to a full one, with every tick as often as by default, against what the cloud alone would take. */
export async function measureRefill(t: Lifetime, stage: Stage): Promise<Findings> {
  const { slots, volumes, cases } = planOf(stage)
  const figures: Figure[] = []
  const rows: string[][] = []
  for (const { seconds, rounds, goal } of cases) {
    const least = Math.ceil(volumes / slots) * seconds
    const taken: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      say(`refill: ${volumes} volumes of ${seconds} s, ${slots} at a time`)
      const name = `refill_${seconds}_${round}`
      taken.push(await withinLifetime(t, inner => fill(inner, stage, { name, slots, volumes, seconds })))
    }
    figures.push({
      name: `filling ${volumes} of ${seconds} s each, ${slots} at a time / the cloud's own ${least} s`,
      ...(goal && { goal }),
      values: taken.map(one => one / least)
    })
    rows.push([`${seconds} s`, `${least} s`, `${spread(taken)} s`])
  }
  const titles = ['one volume', 'least', 'from the first request to the last in stock']
  return { figures, tables: [{ title: `Filling a pool of ${volumes}`, titles, rows }], readings: rows }
}

function planOf({ options: { quick, rounds } }: Stage): Plan {
  if (quick) return { slots: 4, volumes: 8, cases: [{ seconds: 1, rounds: 1 }] }
  const few = Math.min(rounds, 3)
  const cases = [
    { seconds: 5, rounds, goal: { atMost: 1.1 } },
    { seconds: 2, rounds: few },
    { seconds: 20, rounds: 1 }
  ]
  return { slots: 8, volumes: 40, cases }
}

interface Filling {
  readonly name: string
  readonly slots: number
  readonly volumes: number
  readonly seconds: number
}

/** In seconds, by what the database says of the first and the last of them. */
async function fill(t: Lifetime, stage: Stage, { name, slots, volumes, seconds }: Filling): Promise<number> {
  const os = name.replaceAll('_', '-')
  const letters = Array.from({ length: slots }, (_, index) => String.fromCharCode(97 + index))
  await stage.cloud.ask(
    'addSnapshots',
    letters.map(letter => `${os}_ssd_20261101-${letter}`)
  )
  await stage.cloud.ask('delay', { creating: 1_000 * seconds })
  const database = await stage.openNew(t, name)
  await startService(t, stage, {
    name,
    database,
    pools: [{ os, type: 'ssd', target: volumes }],
    config: { images: { snapshot_name: SNAPSHOT_NAME }, limits: { creating_max: slots } }
  })
  const least = Math.ceil(volumes / slots) * seconds
  for (let waited = 0; waited < PATIENCE * least; waited += 0.5) {
    const { count, seconds: taken } = await levelOf(database.db)
    if (count === volumes) return taken
    await pause(500)
  }
  throw new Error(`${name} is not full after ${PATIENCE * least} s`)
}

async function levelOf(db: Database): Promise<{ count: number; seconds: number }> {
  const [row] = await query<{ count: number; seconds: number }>(
    db,
    `select count(*) filter (where status = 'available') as count,
            coalesce(extract(epoch from max(available_at) - min(created_at)), 0)::float as seconds
       from backup_volumes`
  )
  return row ?? { count: 0, seconds: 0 }
}
