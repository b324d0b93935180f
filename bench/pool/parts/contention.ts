import type { Lifetime } from '../../lifetime.ts'
import { medianOf } from '../../openstack/figures.ts'
import { Clients, times } from '../clients.ts'
import { Deployment } from '../deployment.ts'
import { type Findings, quantileOf, spread } from '../findings.ts'
import { startPaused } from '../paused-service.ts'
import { type Stage, say } from '../stage.ts'

interface Reading {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly lastMs: number
}

/** All at once for the same spares, as many as there are: each must get one, and nobody much later than the others. */
export async function measureContention(t: Lifetime, stage: Stage): Promise<Findings> {
  const { rounds, quick } = stage.options
  const rivals = quick ? 100 : 500
  const deployment = await Deployment.open(t, stage, 'contention', 1)
  // More than may be under way by default: what is measured is how they fare, not how many of them are told to come again.
  const config = { server: { claims_in_flight_max: 2 * rivals } }
  const service = await startPaused(t, stage, deployment, { config })
  say('contention: warming up')
  await deployment.stock(rivals)
  // A few at first: it asks Keystone about no more than 256 callers at once, whom it knows for five minutes then.
  await new Clients(t, stage, [service.url], stage.options.clients).claim(times(rivals, deployment.pools[0]))
  const clients = new Clients(t, stage, [service.url], rivals)
  const readings: Reading[] = []
  for (let round = 0; round < rounds; round += 1) {
    say(`contention: round ${round + 1} of ${rivals} rivals`)
    await deployment.stock(rivals)
    await stage.cloud.ask('forgetHandedOver')
    await clients.connect()
    const claimed = await clients.claim(times(rivals, deployment.pools[0]))
    readings.push({
      p50Ms: medianOf(claimed.times),
      p99Ms: quantileOf(claimed.times, 0.99),
      lastMs: quantileOf(claimed.times, 1)
    })
  }
  const left = await service.metric('spare_pool_spares', 'status="available"')
  if (left > 0) throw new Error(`${left} spares are left: not every claim has used up one`)
  return {
    figures: [
      {
        name: `${rivals} claims at once of as many spares, p99 / median`,
        goal: { atMost: 5 },
        values: readings.map(({ p50Ms, p99Ms }) => p99Ms / p50Ms)
      }
    ],
    tables: [
      {
        title: `${rivals} claims at once, each served from stock with a volume of its own`,
        titles: ['median, ms', 'p99, ms', 'last, ms'],
        rows: [(['p50Ms', 'p99Ms', 'lastMs'] as const).map(key => spread(readings.map(reading => reading[key])))]
      }
    ],
    readings
  }
}
