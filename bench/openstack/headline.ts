/** A claim against the ordinary create from a snapshot, in turn, from the request until the tenant sees its disk. */
import { type ByHand, type Crowds, measureByHand, warmUp } from './by-hand.ts'
import { create, createTogether } from './create.ts'
import { spread } from './figures.ts'
import {
  type CheckExisting,
  type CloudRequests,
  type MeasuredService,
  type TimedClaim,
  withService
} from './service.ts'
import {
  clearTenant,
  clearVolumes,
  DEPLOYMENT,
  goldenDisk,
  requireSpace,
  type Stage,
  say,
  slowed,
  switchFlatten
} from './stage.ts'

export interface HeadlineOptions {
  /** Of data, which is what a flatten copies. */
  readonly sizesGib: readonly number[]
  readonly rounds: number
  readonly atOnce: number
  /** How much longer each operation of Ceph takes in the slowed part; 0: there is none. */
  readonly slowMs: number
  /** With Cinder flattening, and not. */
  readonly flattens: readonly boolean[]
  /** The cells as well that take longest and differ least. */
  readonly everyCell: boolean
  readonly checkExisting: CheckExisting
}

/** One row of the table; times in milliseconds. */
export interface Cell {
  readonly dataGib: number
  readonly flatten: boolean
  readonly slowMs: number
  /** 1: one after the other, each alone. */
  readonly atOnce: number
  readonly claims: readonly TimedClaim[]
  readonly creates: readonly number[]
  /** How long the claims' calls to Cinder took each, in the mean, as the service saw them. */
  readonly calls: Readonly<Record<string, number>>
}

export interface Headline {
  readonly cells: readonly Cell[]
  readonly alone: ByHand
  readonly together: readonly Crowds[]
}

/** How often a claim's calls are compared with the same by hand. Cheap, so there may be many. */
const BY_HAND = { rounds: 20, crowds: 3 }
/** A disk with next to nothing on it, for what does not depend on data. */
const SMALL = { name: `${DEPLOYMENT}small_ssd_1`, os: `${DEPLOYMENT}small`, dataMib: 16 }

const osOf = (dataGib: number): string => `${DEPLOYMENT}${dataGib}`

/** `begun` is given what is measured as it grows, so that a run that is broken off has not been for nothing. */
export async function measureHeadline(
  stage: Stage,
  options: HeadlineOptions,
  begun: (headline: Headline) => void
): Promise<void> {
  const { sizesGib, atOnce, checkExisting } = options
  const goldenGib = sizesGib.reduce((sum, size) => sum + size, 0)
  await requireSpace(goldenGib + (stockOf(options) + 1) * Math.max(...sizesGib))
  const { id: small } = await goldenDisk(stage, SMALL.name, SMALL.dataMib)
  const snapshots = new Map<number, string>()
  for (const size of sizesGib) {
    snapshots.set(size, (await goldenDisk(stage, `${osOf(size)}_ssd_1`, Math.round(size * 1024))).id)
  }
  const hand = await measureByHand(stage, { os: SMALL.os, snapshotId: small, atOnce, checkExisting, ...BY_HAND })
  await clearVolumes(stage)
  const cells: Cell[] = []
  begun({ cells, ...hand })
  for (const flatten of options.flattens) {
    await switchFlatten(stage, flatten, small)
    for (const [dataGib, snapshotId] of snapshots) {
      await measureDisk(stage, options, { dataGib, flatten, snapshotId, small }, cells)
      await clearVolumes(stage)
    }
  }
}

/** Enough for all at once, and for the first claim and both alone parts without a fill in between. */
const stockOf = ({ atOnce, rounds }: HeadlineOptions): number => Math.max(atOnce, 1 + rounds + slowedRounds(rounds))

/** They take longest, and differ least. */
const slowedRounds = (rounds: number): number => Math.max(1, Math.floor(rounds / 2))

interface Disk {
  readonly dataGib: number
  readonly flatten: boolean
  readonly snapshotId: string
  /** Another one, with next to nothing on it. */
  readonly small: string
}

/** All cells of one disk. */
async function measureDisk(stage: Stage, options: HeadlineOptions, disk: Disk, cells: Cell[]): Promise<void> {
  const { rounds, atOnce, slowMs, checkExisting } = options
  const target = stockOf(options)
  const pool = { os: osOf(disk.dataGib), target, creatingMaxPerSnapshot: target, checkExisting }
  await withService(stage, pool, async service => {
    const bench = new Bench(stage, service, disk)
    await service.stock(target)
    await service.claim('first') // It logs in and has the tenant's token checked, which later ones need not.
    cells.push(await bench.alone(rounds, 0))
    if (slowMs > 0) cells.push(await bench.alone(slowedRounds(rounds), slowMs))
    cells.push(await bench.together(atOnce, 0))
    if (slowMs > 0 && isWorthWaiting(disk, options)) cells.push(await bench.together(atOnce, slowMs))
  })
}

/** Many disks flattened by a slow Ceph take ten minutes and more: without being asked, only the smallest ones. */
const isWorthWaiting = ({ dataGib, flatten }: Disk, { sizesGib, everyCell }: HeadlineOptions): boolean =>
  everyCell || !flatten || dataGib === Math.min(...sizesGib)

class Bench {
  readonly #stage: Stage
  readonly #service: MeasuredService
  readonly #disk: Disk

  constructor(stage: Stage, service: MeasuredService, disk: Disk) {
    this.#stage = stage
    this.#service = service
    this.#disk = disk
  }

  /** A claim, a create, a claim, … What they made is deleted after each pair, at full speed again. */
  async alone(rounds: number, slowMs: number): Promise<Cell> {
    await this.#service.stock(rounds)
    this.#announce(`alone, ${rounds} rounds`, slowMs)
    const [claims, creates]: [TimedClaim[], number[]] = [[], []]
    const before = await this.#service.cloudRequests()
    for (let round = 1; round <= rounds; round += 1) {
      const name = `alone-${slowMs}-${round}`
      await slowed(slowMs, async () => {
        await this.#service.ready()
        claims.push(await this.#service.claim(name))
        await this.#service.ready()
        creates.push(await create(this.#stage, this.#disk, name))
      })
      await clearTenant(this.#stage)
    }
    const calls = callsBetween(before, await this.#service.cloudRequests())
    return this.#cell({ slowMs, atOnce: 1, claims, creates, calls })
  }

  /** So many claims at the same moment, then as many creates. */
  async together(atOnce: number, slowMs: number): Promise<Cell> {
    await this.#service.stock(atOnce)
    this.#announce(`${atOnce} at once`, slowMs)
    const names = Array.from({ length: atOnce }, (_, index) => `together-${slowMs}-${index}`)
    await warmUp(this.#stage, this.#disk.small, atOnce)
    const before = await this.#service.cloudRequests()
    const claims = await slowed(slowMs, async () => {
      await this.#service.ready()
      return await Promise.all(names.map(name => this.#service.claim(name)))
    })
    const calls = callsBetween(before, await this.#service.cloudRequests())
    await clearTenant(this.#stage)
    const creates = await slowed(slowMs, async () => {
      await this.#service.ready()
      return await createTogether(this.#stage, this.#disk, names)
    })
    await clearTenant(this.#stage)
    return this.#cell({ slowMs, atOnce, claims, creates, calls })
  }

  #announce(what: string, slowMs: number): void {
    const { dataGib, flatten } = this.#disk
    const ceph = slowMs === 0 ? 'at full speed' : `slowed by ${slowMs} ms`
    say(`${dataGib} GiB, flatten ${flatten ? 'on' : 'off'}, Ceph ${ceph}: ${what}`)
  }

  #cell(cell: Omit<Cell, 'dataGib' | 'flatten'>): Cell {
    const { dataGib, flatten } = this.#disk
    const [claims, creates] = [cell.claims.map(({ available }) => available), cell.creates]
    say(`  claims ${spread(claims)}, creates ${spread(creates)}`)
    return { dataGib, flatten, ...cell }
  }
}

/** The mean of each call that every claim makes, in milliseconds. */
function callsBetween(before: CloudRequests, after: CloudRequests): Record<string, number> {
  const calls: Record<string, number> = {}
  for (const [operation, { count, seconds }] of after) {
    const earlier = before.get(operation) ?? { count: 0, seconds: 0 }
    if (count > earlier.count) calls[operation] = (1_000 * (seconds - earlier.seconds)) / (count - earlier.count)
  }
  return calls
}
