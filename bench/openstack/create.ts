/** What there would be without the service: volumes made from the pool's snapshot in the tenant's project, by an admin. */
import { DEPLOYMENT, isAvailable, type Stage, until, untilAvailable } from './stage.ts'

interface Source {
  readonly snapshotId: string
}

/** One alone; its milliseconds from the request until the tenant sees it `available`. */
export async function create(stage: Stage, source: Source, name: string): Promise<number> {
  const startedAt = performance.now()
  const id = await request(stage, source, name)
  await untilAvailable(stage, stage.tenant, id, 50)
  return performance.now() - startedAt
}

/** So many at the same moment, each with its time. All are looked for in one listing, which costs Cinder the least. */
export async function createTogether(stage: Stage, source: Source, names: readonly string[]): Promise<number[]> {
  const startedAt = performance.now()
  const elapsed = (): number => performance.now() - startedAt
  const ids = new Set<string>()
  const times = new Map<string, number>()
  let failure: unknown
  const asking = names.map(async name => ids.add(await request(stage, source, name)))
  Promise.all(asking).catch((error: unknown) => {
    failure = error
  })
  const look = async (): Promise<true | undefined> => {
    if (failure !== undefined) throw failure
    const { volumes } = await stage.tenant.get('/volumes/detail')
    for (const volume of volumes) {
      if (ids.has(volume.id) && !times.has(volume.id) && isAvailable(volume)) times.set(volume.id, elapsed())
    }
    return times.size === names.length || undefined
  }
  await until(stage, `${names.length} volumes are available`, look, { everyMs: 100, secondsMax: 1_800 })
  return [...times.values()]
}

async function request({ provisioner }: Stage, { snapshotId }: Source, name: string): Promise<string> {
  const { id } = await provisioner.create({
    name: `${DEPLOYMENT}-create-${name}`,
    snapshot_id: snapshotId,
    size: undefined
  })
  return id
}
