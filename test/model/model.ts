/**
 * The contract, executable and small: what each request is answered, and what is there afterwards. It knows no SQL, no HTTP
 * and no failure of the network. Ids are the service's to choose: the model learns them from what it is shown.
 */
import {
  type Answer,
  answerOf,
  byId,
  type Claim,
  isSame,
  LIMITS,
  type Named,
  newClaim,
  type Request,
  type Spare,
  type Volume
} from './state.ts'
import { Stock } from './stock.ts'

export class Model extends Stock {
  claims: Claim[] = []
  /** Projects whose quota is used up. */
  readonly full = new Set<string>()
  /** By project and name. */
  readonly #refusedAt = new Map<string, number>()

  // ---- Claims --------------------------------------------------------------------------------------------------------

  claim(request: Request): Answer {
    if (this.#isKeyReused(request)) return { code: 'idempotency_key_reused' }
    const known = this.claims.find(one => isSame(one, request) && one.status !== 'gone')
    const differs = known && known.source !== 'existing' && known.pool !== request.pool
    if (known?.status === 'creating') return differs ? { code: 'claim_differs' } : this.#finish(known)
    if (known && this.has(known.volume)) return differs ? { code: 'claim_differs' } : answerOf(known)
    if (known) known.status = 'gone'
    return this.#serve(request)
  }

  /** By another body, for as long as its claim is remembered. */
  #isKeyReused({ project, key, ...body }: Request): boolean {
    const earlier = this.claims.findLast(({ request }) => request.project === project && request.key === key)
    if (!key || !earlier) return false
    const { name, pool, onEmpty, gib } = earlier.request
    return name !== body.name || pool !== body.pool || onEmpty !== body.onEmpty || gib !== body.gib
  }

  #serve(request: Request): Answer {
    const { project, pool, onEmpty } = request
    const claim = newClaim(request, this.now)
    const existing = this.#existing(request)
    const stock = this.stock(pool)
    if (existing) {
      if (stock[0]) this.#letGo(stock[0]) // It was to be given, so it was looked at.
      return this.#giveExisting(claim, existing)
    }
    let triesLeft = onEmpty === 'fail' ? 6 : 3
    for (const spare of stock) {
      if (triesLeft === 0) break
      if (this.has(spare.volume)) triesLeft -= 1
      const isRefused = this.isFit(spare) && this.full.has(project)
      if (this.isFit(spare) && !isRefused) return this.#handOver(claim, spare)
      if (this.has(spare.volume)) this.#letGo(spare)
      else this.drop(spare)
      if (isRefused) return { code: 'quota_exceeded' }
    }
    this.findImages()
    const noStock = this.pool(pool).target === undefined ? 'no_pool' : 'empty'
    const reason = stock.length > 0 ? 'handover_failed' : noStock
    return onEmpty === 'fail' ? this.#refuseEmpty(request, reason) : this.#create(claim, reason)
  }

  /** Counts as a miss, once an hour however often it is asked. */
  #refuseEmpty({ project, name, pool }: Request, reason: string): Answer {
    const key = `${project} ${name}`
    if (this.now - (this.#refusedAt.get(key) ?? Number.NEGATIVE_INFINITY) >= 3_600) {
      this.#refusedAt.set(key, this.now)
      const { refused } = this.pool(pool)
      refused[reason] = (refused[reason] ?? 0) + 1
    }
    return { code: 'pool_empty' }
  }

  #giveExisting(claim: Claim, volume: Volume): Answer {
    if (volume.status === 'error' || !volume.bootable) return this.#refuse(claim, 'existing_volume_unusable')
    return this.#record(claim, { status: 'available', source: 'existing', missReason: undefined, volume })
  }

  /** A volume of the claim's name in its project; of several the best, then the oldest. */
  #existing(wanted: Named): Volume | undefined {
    const rank = ({ status, bootable }: Volume): number =>
      ['available', 'in-use', 'creating', 'error'].indexOf(bootable ? status : 'error')
    const found = [...this.volumes].filter(volume => isSame(volume, wanted))
    return found.toSorted((a, b) => rank(a) - rank(b) || a.madeAt - b.madeAt || byId(a, b))[0]
  }

  /** From a claim that cannot have it: as it was, or retired. */
  #letGo(spare: Spare): void {
    if (this.isFit(spare)) this.arrive(spare)
    else this.setRetiring(spare)
  }

  /** Unless a spare has come into stock meanwhile, for a claim that has not had its share of them. */
  #create(claim: Claim, missReason: string | undefined): Answer {
    if (this.full.has(claim.project)) return this.#refuse(claim, 'quota_exceeded')
    const others = this.claims.filter(one => one.project === claim.project && one.status === 'creating')
    if (!others.includes(claim) && others.length >= LIMITS.creatingMaxPerProject) return { code: 'rate_limited' }
    this.#record(claim, { status: 'creating', source: 'created', missReason, volume: undefined })
    const taken = missReason === 'handover_failed' ? undefined : this.#take(claim)
    if (taken) return this.#handOverOne(claim, taken)
    const { volume } = this.make(claim.pool, claim)
    return this.#record(claim, { volume })
  }

  #take(claim: Claim): Spare | undefined {
    const [spare] = this.stock(claim.pool)
    return spare && Object.assign(spare, { status: 'reserved', claim })
  }

  /** One that came from stock may be unfit; then the next ones are tried, and at last another is made. */
  #handOverOne(claim: Claim, first: Spare): Answer {
    let spare: Spare | undefined = first
    for (let tries = 0; spare; ) {
      if (this.isFit(spare)) return this.#handOver(claim, spare)
      if (this.has(spare.volume)) tries += 1
      this.setRetiring(spare)
      spare = tries < 3 ? this.#take(claim) : undefined
    }
    return this.#create(claim, claim.missReason)
  }

  #refuse(claim: Claim, code: string): Answer {
    this.claims = this.claims.filter(one => one !== claim)
    return { code }
  }

  /** A disk that is being made for a claim is handed over once it is finished, and replaced where it fails. */
  #finish(claim: Claim): Answer {
    const spare = this.spares.find(one => one.claim === claim)
    if (!spare) {
      const existing = this.#existing(claim)
      return existing ? this.#giveExisting(claim, existing) : this.#create(claim, claim.missReason)
    }
    if (spare.isFinished) return this.#handOverOne(claim, spare)
    if (!this.isFit(spare)) {
      this.giveUp(spare)
      return { code: 'claim_unsettled' }
    }
    if (spare.volume.status === 'creating') return answerOf(claim)
    this.noteFinished(spare)
    return this.#handOver(claim, spare)
  }

  #handOver(claim: Claim, spare: Spare): Answer {
    if (this.full.has(claim.project)) {
      if (this.fitsPool(spare)) this.#letGo(spare)
      else this.setRetiring(spare) // It was made for this claim alone.
      return this.#refuse(claim, 'quota_exceeded')
    }
    const { volume } = spare
    this.drop(spare)
    const gib = Math.max(volume.gib, claim.request.gib ?? 0)
    Object.assign(volume, { project: claim.project, name: claim.name, status: 'available', gib })
    return this.#record(claim, { status: 'available', volume })
  }

  #record(claim: Claim, change: Partial<Claim>): Answer {
    Object.assign(claim, change)
    if (!this.claims.includes(claim)) this.claims.push(claim)
    return answerOf(claim)
  }

  // ---- Ticks ---------------------------------------------------------------------------------------------------------

  check(): { checked: number; available: number; dropped: number } {
    const onTheirWay = this.spares.filter(({ isFinished, status }) => !isFinished && status !== 'retiring')
    const overdue = onTheirWay.filter(spare => spare.volume.status === 'creating' && this.isOverdue(spare))
    const failed = onTheirWay.filter(spare => overdue.includes(spare) || !this.isFit(spare))
    const mine = failed.filter(({ claim, volume }) => !claim || this.has(volume)) // Else its claim looks where it is.
    const ready = onTheirWay.filter(spare => !failed.includes(spare) && spare.volume.status === 'available')
    for (const spare of ready) this.noteFinished(spare)
    for (const spare of mine) this.giveUp(spare)
    this.deleteRetired()
    const forStock = ready.filter(({ claim }) => !claim)
    for (const spare of ready) if (spare.claim) this.#handOver(spare.claim, spare)
    for (const spare of forStock) {
      this.arrive(spare)
      if (spare.claim) this.#handOverOne(spare.claim, spare)
    }
    return { checked: onTheirWay.length, available: ready.length, dropped: mine.length }
  }

  reconcile(): { settled: number; adopted: number; removed: number; dropped: number } {
    const creating = this.claims.filter(({ status }) => status === 'creating')
    for (const claim of creating) this.#finish(claim)
    const settled = creating.filter(claim => claim.status !== 'creating' || !this.claims.includes(claim)).length
    const lost = this.spares.filter(spare => spare.status === 'available' && !this.isFit(spare))
    for (const spare of lost) this.leave(spare)
    for (const pool of this.pools) {
      const version = this.snapshots.get(pool.name) ?? 0
      pool.newerInCinder = version > (this.images.get(pool.name) ?? version) ? version : undefined
    }
    this.deleteRetired()
    return { settled, adopted: 0, removed: 0, dropped: lost.length }
  }

  // ---- Operators -----------------------------------------------------------------------------------------------------

  sync(purge: 'all' | 'stale' | 'none'): { retired: number } {
    this.images = new Map(this.snapshots)
    for (const pool of this.pools) pool.newerInCinder = undefined
    const stock = this.spares.filter(({ status }) => status === 'creating' || status === 'available')
    const chosen = stock.filter(spare => purge === 'all' || !this.isCurrent(spare))
    for (const spare of chosen) {
      if (purge === 'none') spare.isKept = true
      else this.setRetiring(spare)
    }
    return { retired: purge === 'none' ? 0 : chosen.length }
  }

  /** Why not, or undefined. */
  retire(spare: Spare): string | undefined {
    if (spare.status === 'reserved') return 'spare_reserved'
    this.setRetiring(spare)
    return undefined
  }

  setPaused(name: string, paused: boolean): void {
    Object.assign(this.pool(name), { paused, ...(!paused && { failures: 0, retryAt: 0 }) })
  }
}
