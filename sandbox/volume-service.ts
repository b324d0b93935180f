import type { Snapshot, Volume } from './model.ts'

interface Time {
  now(): number
  after(ms: number, act: () => void): void
}

/** How a volume is made: what it is copied from, how long that takes, and whether nothing else is done meanwhile. */
export interface Making {
  readonly snapshot: Snapshot | undefined
  readonly ms: number
  readonly blocks: boolean
}

/** How long the API waits for an answer of cinder-volume. */
export const RPC_TIMEOUT_MS = 60_000

/** cinder-volume: it does what takes time. It may be down, and up to some release it does one thing only while it flattens. */
export class VolumeService {
  readonly #time: Time
  #isDown = false
  /** What it was told while it was down: messages wait for it. */
  #untold: (() => void)[] = []
  /** Volumes that it makes or will make, by when that begins. */
  readonly #creations = new Map<Volume, number>()
  #flattens: { from: number; until: number }[] = []

  constructor(time: Time) {
    this.#time = time
  }

  get isDown(): boolean {
    return this.#isDown
  }

  /** What it has begun it still finishes. */
  stop(): void {
    this.#isDown = true
  }

  start(): void {
    this.#isDown = false
    const untold = this.#untold
    this.#untold = []
    for (const tell of untold) tell()
  }

  /** How long until it takes the next call. Between two flattens it comes to whatever else there is. */
  waitMs(): number {
    if (this.#isDown) return Number.POSITIVE_INFINITY
    const now = this.#time.now()
    const running = this.#flattens.find(({ from, until }) => from <= now && now < until)
    return running ? running.until - now : 0
  }

  /** Does what takes so long, as soon as it comes to it, and not before a time. */
  work(ms: number, act: () => void, notBefore = 0): void {
    if (this.#isDown) return void this.#untold.push(() => this.work(ms, act, notBefore))
    const wait = Math.max(this.waitMs(), notBefore - this.#time.now())
    this.#time.after(wait + ms, act)
  }

  /** Makes a volume. Creates from one snapshot queue up: each waits for all before it. Others run side by side. */
  create(volume: Volume, making: Making, finish: () => void): void {
    if (this.#isDown) return void this.#untold.push(() => this.create(volume, making, finish))
    const { snapshot, ms, blocks } = making
    const now = this.#time.now()
    const from = Math.max(now + this.waitMs(), snapshot?.busyUntil ?? 0, blocks ? this.#flattenedAt(now) : 0)
    const until = from + ms
    if (snapshot) snapshot.busyUntil = until
    if (blocks) this.#flattens.push({ from, until })
    this.#creations.set(volume, from)
    this.#time.after(until - now, () => {
      if (this.#creations.delete(volume)) finish()
    })
  }

  /** When the last of the flattens will be done. */
  #flattenedAt(now: number): number {
    this.#flattens = this.#flattens.filter(({ until }) => until > now)
    return this.#flattens.at(-1)?.until ?? now
  }

  /** The volumes that it is making, and now will not make. */
  breakOff(): Volume[] {
    const now = this.#time.now()
    const underWay = [...this.#creations].filter(([, from]) => from <= now).map(([volume]) => volume)
    for (const volume of underWay) this.#creations.delete(volume)
    return underWay
  }
}
