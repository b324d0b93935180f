import {
  type Claim,
  FIRST_VERSION,
  GIB,
  LIMITS,
  oldestFirst,
  type Pool,
  type Spare,
  SURPLUS_SECONDS,
  type Volume
} from './state.ts'

/** The spares, from the asking for them to their end, whoever takes them. */
export class Stock {
  now = 0
  readonly pools: readonly Pool[]
  /** By pool: what Cinder has, and what the service knows of it. */
  readonly snapshots = new Map(Object.keys(GIB).map(name => [name, FIRST_VERSION]))
  images = new Map<string, number>()
  readonly volumes = new Set<Volume>()
  spares: Spare[] = []

  constructor(targets: Readonly<Record<string, number>>) {
    const fresh = { paused: false, failures: 0, retryAt: 0, longestLeadTime: 0 }
    const nothing = { newerInCinder: undefined, surplusSince: undefined }
    this.pools = Object.keys(GIB).map(name => ({ ...fresh, ...nothing, name, target: targets[name], refused: {} }))
  }

  /** One word for an operator. */
  condition(pool: Pool): string {
    if (pool.target === undefined) return 'full' // Nothing of it is wanted any more.
    if (pool.paused) return 'paused'
    if (!this.images.has(pool.name)) return 'no_image'
    const held = this.stock(pool.name).length
    if (held >= pool.target) return 'full'
    if (pool.retryAt > this.now) return 'backing_off'
    return held === 0 ? 'empty' : 'filling'
  }

  /** The emptiest pool first, one volume at a time, within the limits. */
  replenish(): { requested: number } {
    for (const pool of this.pools) this.#retireSurplus(pool)
    this.findImages()
    const ready = this.pools.filter(({ paused, retryAt }) => !paused && retryAt <= this.now)
    const level = (pool: Pool): number => this.countStock(pool) / (pool.target ?? 0)
    for (let requested = 0; ; requested += 1) {
      const wanting = ready.filter(pool => this.countStock(pool) < (pool.target ?? 0) && this.hasRoom(pool))
      const [next] = wanting.toSorted((a, b) => level(a) - level(b))
      if (!next) return { requested }
      this.make(next.name)
    }
  }

  /** What has been over the target for ten minutes, the oldest first. A paused pool's stock stays. */
  #retireSurplus(pool: Pool): void {
    const { name, paused, target } = pool
    const over = this.stock(name).slice(0, Math.max(0, this.stock(name).length - (target ?? 0)))
    const isOver = over.length > 0 && !(paused && target !== undefined)
    pool.surplusSince = isOver ? (pool.surplusSince ?? this.now) : undefined
    if (pool.surplusSince === undefined || this.now - pool.surplusSince < SURPLUS_SECONDS) return
    for (const spare of over) this.setRetiring(spare)
  }

  has = (volume: Volume | undefined): boolean => volume !== undefined && this.volumes.has(volume)

  isCurrent = ({ pool, version }: Spare): boolean => this.images.get(pool) === version

  /** What a claim may be given, the oldest first. */
  stock(pool: string): Spare[] {
    const served = (spare: Spare): boolean => spare.status === 'available' && (spare.isKept || this.isCurrent(spare))
    return this.spares.filter(spare => spare.pool === pool && served(spare)).toSorted(oldestFirst)
  }

  protected countStock({ name }: Pool): number {
    return (
      this.stock(name).length + this.spares.filter(({ pool, status }) => pool === name && status === 'creating').length
    )
  }

  protected hasRoom({ name }: Pool): boolean {
    const making = this.spares.filter(({ isFinished, status }) => !isFinished && status !== 'retiring')
    const ofSnapshot = making.filter(spare => spare.pool === name && this.isCurrent(spare))
    const gib = this.spares.reduce((sum, spare) => sum + spare.gib, GIB[name] ?? 0)
    const { creatingMax, creatingMaxPerSnapshot, budgetGib } = LIMITS
    return making.length < creatingMax && ofSnapshot.length < creatingMaxPerSnapshot && gib <= budgetGib
  }

  protected make(pool: string, claim?: Claim): Spare {
    const gib = Math.max(claim?.request.gib ?? 0, GIB[pool] ?? 0)
    const volume: Volume = {
      id: '',
      project: 'pool',
      name: '',
      status: 'creating',
      gib,
      madeAt: this.now,
      bootable: true
    }
    const [version, since] = [this.images.get(pool) ?? 0, this.now]
    const status = claim ? 'reserved' : 'creating'
    const spare: Spare = { id: '', pool, version, volume, gib, since, status, claim, isFinished: false, isKept: false }
    this.volumes.add(volume)
    this.spares.push(spare)
    return spare
  }

  isFit = ({ volume }: Spare): boolean => this.has(volume) && volume.status !== 'error'

  protected isOverdue({ pool, since }: Spare): boolean {
    return this.now - since > Math.max(600, 3 * this.pool(pool).longestLeadTime)
  }

  /** Its volume is finished: ready for its claim, or to be armed. */
  protected noteFinished(spare: Spare): void {
    const pool = this.pool(spare.pool)
    const longestLeadTime = Math.max(pool.longestLeadTime, this.now - spare.since)
    Object.assign(pool, { failures: 0, retryAt: 0, longestLeadTime })
    spare.isFinished = true
  }

  /** Into stock, armed; or to the claim that has waited longest for one like it, whose own goes on for the stock. */
  protected arrive(spare: Spare): void {
    Object.assign(spare, { status: 'available', claim: undefined })
    Object.assign(spare.volume, { status: 'awaiting-transfer', name: `spare-${spare.id}` })
    const own = spare.isKept || this.isCurrent(spare) ? this.waitingFor(spare)[0] : undefined
    if (!own?.claim) return
    own.claim.volume = spare.volume
    Object.assign(spare, { status: 'reserved', claim: own.claim })
    Object.assign(own, { status: 'creating', claim: undefined })
  }

  /** The disks that are being made for claims that a spare like it would serve, the longest wait first. */
  waitingFor({ pool, gib }: Pick<Spare, 'pool' | 'gib'>): Spare[] {
    const isAlike = (one: Spare): boolean => one.pool === pool && one.gib === gib && this.isCurrent(one)
    const waiting = this.spares.filter(one => one.claim && !one.isFinished && isAlike(one))
    return waiting.toSorted((a, b) => (a.claim?.since ?? 0) - (b.claim?.since ?? 0))
  }

  /** As good as the pool's own, whoever it was made for. */
  fitsPool(spare: Spare): boolean {
    const isServed = spare.isKept || this.isCurrent(spare)
    return this.pool(spare.pool).target !== undefined && isServed && spare.gib === GIB[spare.pool]
  }

  /** A creation that failed: its pool waits, longer each time. */
  protected giveUp(spare: Spare): void {
    const pool = this.pool(spare.pool)
    pool.failures += 1
    pool.retryAt = this.now + Math.min(300, 10 * 2 ** (pool.failures - 1))
    this.leave(spare)
  }

  protected leave(spare: Spare): void {
    if (this.has(spare.volume)) this.setRetiring(spare)
    else this.drop(spare)
  }

  protected setRetiring(spare: Spare): void {
    if (spare.claim?.status === 'creating') spare.claim.volume = undefined
    Object.assign(spare, { status: 'retiring', claim: undefined })
  }

  protected drop(spare: Spare): void {
    if (spare.claim?.status === 'creating') spare.claim.volume = undefined
    this.spares = this.spares.filter(one => one !== spare)
  }

  /** All that Cinder has, where one is missing. */
  protected findImages(): void {
    this.images = new Map([...this.snapshots, ...this.images])
  }

  protected pool(name: string): Pool {
    const found = this.pools.find(one => one.name === name)
    if (!found) throw new Error(`there is no pool ${name}`)
    return found
  }

  /** A row goes once Cinder has no volume for it any more. */
  protected deleteRetired(): void {
    for (const spare of this.spares.filter(({ status }) => status === 'retiring')) {
      if (!this.has(spare.volume)) this.drop(spare)
      else if (spare.volume.status !== 'creating') this.volumes.delete(spare.volume)
    }
  }
}
