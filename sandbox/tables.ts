import type { Snapshot, Transfer, Volume } from './model.ts'

/** Metadata that a pool looks its volumes up by. */
const INDEXED_METADATA = ['spare_pool', 'spare_id']

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** How much each project has of each resource, kept up to date so that a quota check reads one number. */
export class Usage {
  readonly #used = new Map<string, number>()

  of(projectId: string, resource: string): number {
    return this.#used.get(`${projectId} ${resource}`) ?? 0
  }

  /** Counts a volume or a snapshot in (1) or out (-1). */
  count(resource: 'volumes' | 'snapshots', item: Volume | Snapshot, sign: 1 | -1): void {
    const sizeGib = ('extendingToGib' in item ? item.extendingToGib : null) ?? item.sizeGib
    const type = item.type.name
    this.#add(item.projectId, resource, sign)
    this.#add(item.projectId, `${resource}_${type}`, sign)
    this.#add(item.projectId, 'gigabytes', sign * sizeGib)
    this.#add(item.projectId, `gigabytes_${type}`, sign * sizeGib)
  }

  #add(projectId: string, resource: string, amount: number): void {
    this.#used.set(`${projectId} ${resource}`, this.of(projectId, resource) + amount)
  }
}

/** All volumes, found by id, project, status, name and the pool's metadata without looking at the others. */
export class VolumeTable {
  readonly #byId = new Map<string, Volume>()
  readonly #index = new Map<string, Set<Volume>>()
  readonly #usage: Usage

  constructor(usage: Usage) {
    this.#usage = usage
  }

  get size(): number {
    return this.#byId.size
  }

  get(id: string): Volume | undefined {
    return this.#byId.get(id)
  }

  /** The volumes of one project, or of all. */
  of(projectId?: string): Iterable<Volume> {
    return projectId === undefined ? this.#byId.values() : (this.#index.get(projectId) ?? [])
  }

  /** The smallest indexed set that holds all volumes of the project that match. */
  candidates(
    projectId: string,
    wish: { names?: string[]; statuses?: string[]; metadata?: ReadonlyMap<string, unknown> }
  ): Iterable<Volume> {
    const options = [
      [projectId],
      ...(wish.names ? [wish.names.map(name => nameKey(projectId, name))] : []),
      ...(wish.statuses ? [wish.statuses.map(status => statusKey(projectId, status))] : []),
      ...INDEXED_METADATA.filter(key => wish.metadata?.has(key)).map(key => [
        metadataKey(projectId, key, String(wish.metadata?.get(key)))
      ])
    ]
    const sets = options.map(keys => [...new Set(keys)].map(key => this.#index.get(key) ?? new Set<Volume>()))
    const count = (option: Set<Volume>[]): number => option.reduce((sum, set) => sum + set.size, 0)
    const smallest = sets.reduce((best, option) => (count(option) < count(best) ? option : best))
    return smallest.length === 1 && smallest[0] ? smallest[0] : smallest.flatMap(set => [...set])
  }

  add(volume: Volume): void {
    this.#byId.set(volume.id, volume)
    this.#usage.count('volumes', volume, 1)
    for (const key of keysOf(volume)) this.#put(key, volume)
  }

  /** The only way to change a volume: the indexes and the usage follow. */
  change(volume: Volume, change: Partial<Volume>): void {
    const before = keysOf(volume)
    this.#usage.count('volumes', volume, -1)
    Object.assign(volume as Mutable<Volume>, change)
    this.#usage.count('volumes', volume, 1)
    const after = keysOf(volume)
    for (const key of before) if (!after.includes(key)) this.#take(key, volume)
    for (const key of after) if (!before.includes(key)) this.#put(key, volume)
  }

  remove(volume: Volume): void {
    this.#byId.delete(volume.id)
    this.#usage.count('volumes', volume, -1)
    for (const key of keysOf(volume)) this.#take(key, volume)
  }

  #put(key: string, volume: Volume): void {
    const set = this.#index.get(key)
    if (set) set.add(volume)
    else this.#index.set(key, new Set([volume]))
  }

  #take(key: string, volume: Volume): void {
    const set = this.#index.get(key)
    set?.delete(volume)
    if (set?.size === 0) this.#index.delete(key)
  }
}

/** Names and metadata are compared without case, as Cinder's database does. */
const nameKey = (projectId: string, name: string): string => `${projectId} name ${name.toLowerCase()}`
const statusKey = (projectId: string, status: string): string => `${projectId} status ${status}`
const metadataKey = (projectId: string, key: string, value = ''): string => `${projectId} ${key} ${value.toLowerCase()}`

function keysOf(volume: Volume): string[] {
  const { projectId, name, status, metadata } = volume
  const keys = [projectId, nameKey(projectId, name ?? ''), statusKey(projectId, status)]
  for (const key of INDEXED_METADATA) if (key in metadata) keys.push(metadataKey(projectId, key, metadata[key]))
  return keys
}

/** All transfers, found by id and by volume. */
export class TransferTable {
  readonly #byId = new Map<string, Transfer>()
  readonly #byVolume = new Map<string, Set<Transfer>>()

  get(id: string): Transfer | undefined {
    return this.#byId.get(id)
  }

  all(): Iterable<Transfer> {
    return this.#byId.values()
  }

  ofVolume(volumeId: string): readonly Transfer[] {
    return [...(this.#byVolume.get(volumeId) ?? [])]
  }

  add(transfer: Transfer): void {
    this.#byId.set(transfer.id, transfer)
    const siblings = this.#byVolume.get(transfer.volumeId)
    if (siblings) siblings.add(transfer)
    else this.#byVolume.set(transfer.volumeId, new Set([transfer]))
  }

  remove(transfer: Transfer): void {
    this.#byId.delete(transfer.id)
    const siblings = this.#byVolume.get(transfer.volumeId)
    siblings?.delete(transfer)
    if (siblings?.size === 0) this.#byVolume.delete(transfer.volumeId)
  }
}
