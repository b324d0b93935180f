import { setMaxListeners } from 'node:events'
import { changedDelays, type DelayPreset, type Delays, type Operation, PRESETS } from './delays.ts'
import { type FaultKind, type FaultRule, Faults } from './faults.ts'
import { type Change, Journal } from './journal.ts'
import type { ApplicationCredential, Caller, Message, Project, Snapshot, Token, User, VolumeType } from './model.ts'
import { Random } from './random.ts'
import { ConnectionReset, messageOf, Refusal } from './refusal.ts'
import { checkVariant, type Release, type Traits, traitsOf, type Variant, variantOf } from './releases.ts'
import { Later, type Stepwise } from './steps.ts'
import { TransferTable, Usage, VolumeTable } from './tables.ts'
import { VolumeService } from './volume-service.ts'

export const LOCALES = ['en', 'zh_CN'] as const
export type Locale = (typeof LOCALES)[number]

/** The only source of time: the machine's, or one that a test moves. */
export interface Clock {
  now(): Date
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** What a release decides is in `releases.ts`; of a variant what is left out is usual. */
export interface CloudOptions extends Partial<Variant> {
  readonly clock: Clock
  readonly delays?: DelayPreset | Partial<Delays>
  readonly seed?: number
  /** Names this run of it: what is made after the start gets other ids than in other runs. Absent: the same ids. */
  readonly run?: string
  readonly tokenSeconds?: number
  /** How many changes the journal keeps; 0: none. */
  readonly journalMax?: number
  /** Whose Cinder and Keystone it imitates; the newest when left out. */
  readonly release?: Release
  /** The language of its errors. */
  readonly locale?: Locale
  /** The most rows that a list's page has: Cinder's `osapi_max_limit`. */
  readonly listMax?: number
}

/** The whole cloud: what it holds, and its time, chance and faults. No I/O; the rules are in the files beside this one. */
export class Cloud {
  readonly projects = new Map<string, Project>()
  readonly users = new Map<string, User>()
  readonly applicationCredentials = new Map<string, ApplicationCredential>()
  readonly tokens = new Map<string, Token>()
  readonly types = new Map<string, VolumeType>()
  readonly usage = new Usage()
  readonly volumes = new VolumeTable(this.usage)
  readonly snapshots = new Map<string, Snapshot>()
  readonly transfers = new TransferTable()
  /** The limits that differ from the default, by `<project> <resource>`. */
  readonly quotas = new Map<string, number>()
  messages: Message[] = []
  readonly journal: Journal
  readonly faults: Faults
  random: Random
  readonly tokenSeconds: number
  readonly locale: Locale
  readonly listMax: number
  readonly variant: Variant
  readonly volumeService: VolumeService = new VolumeService(this)
  delays: Delays
  /** Decides the order of lists that have none: with another number rows stand elsewhere. */
  listOrder: number
  #release: Release
  #traits: Traits
  readonly #clock: Clock
  readonly #stop = new AbortController()

  constructor(options: CloudOptions) {
    const { clock, delays = 'none', seed = 1, tokenSeconds = 3600, journalMax = 100_000 } = options
    const { release = 'latest', locale = 'en', listMax = 1000 } = options
    setMaxListeners(0, this.#stop.signal) // One for each volume on its way.
    this.#clock = clock
    this.tokenSeconds = tokenSeconds
    this.locale = locale
    this.listMax = listMax
    this.listOrder = seed
    this.variant = variantOf(options)
    checkVariant(release, this.variant)
    this.#release = release
    this.#traits = traitsOf(release)
    this.delays = typeof delays === 'string' ? PRESETS[delays] : changedDelays(PRESETS.measured, delays)
    this.random = new Random(seed, 'ids')
    this.faults = new Faults(new Random(seed, 'faults'))
    this.journal = new Journal(journalMax)
  }

  get release(): Release {
    return this.#release
  }

  /** As after an upgrade, or the way back: what the cloud holds stays. */
  set release(release: Release) {
    checkVariant(release, this.variant)
    this.#release = release
    this.#traits = traitsOf(release)
  }

  /** What the release does in its own way. */
  get traits(): Traits {
    return this.#traits
  }

  addFault(rule: FaultRule): void {
    this.faults.add(rule)
  }

  now(): number {
    return this.#clock.now().getTime()
  }

  /** Does something later; at once after the current call where that takes no time. */
  after(ms: number, act: () => void): void {
    if (ms <= 0) queueMicrotask(act)
    else void this.#clock.sleep(ms, this.#stop.signal).then(act, ignoreStop)
  }

  record(by: Caller, change: Change): void {
    this.journal.add(this.now(), by, change)
  }

  /**
   * Carries out one call the way a cloud does: after its delay, and with the fault that strikes it.
   * `act` gets the fault that is for the cloud's own work; it runs without a pause, so no two calls mix, but where it
   * says that it waits.
   */
  async perform<T>(
    operation: Operation,
    token: string | undefined,
    act: (strike?: FaultKind) => Stepwise<T>
  ): Promise<T> {
    const fault = this.faults.draw(operation)
    const delay = this.traits.writesBlindly.includes(operation) ? 0 : this.delays[operation] // It comes in the middle.
    const ms = delay + (fault?.ms ?? 0)
    if (ms > 0) await this.#clock.sleep(ms, this.#stop.signal).catch(cut)
    if (!fault) return await this.#toEnd(act())
    if (fault.kind === 'revoke_tokens') this.#revokeTokens(token)
    if (fault.kind === 'reset_before') throw new ConnectionReset()
    if (fault.kind === 'status' && !fault.acts) throw refusalOf(fault)
    if (fault.kind === 'hang' && !fault.acts) return await never()
    const result = await this.#toEnd(act(fault.kind))
    if (fault.kind === 'reset_after') throw new ConnectionReset()
    if (fault.kind === 'status') throw refusalOf(fault)
    if (fault.kind === 'hang') return await never()
    return result
  }

  async #toEnd<T>(begun: Stepwise<T>): Promise<T> {
    let result = begun
    while (result instanceof Later) {
      if (result.ms > 0) await this.#clock.sleep(result.ms, this.#stop.signal).catch(cut)
      result = result.act()
    }
    return result
  }

  /** Those of the token's user; of everyone where nobody has logged in yet. */
  #revokeTokens(tokenId: string | undefined): void {
    const user = tokenId === undefined ? undefined : this.tokens.get(tokenId)?.user
    for (const token of this.tokens.values()) if (!user || token.user === user) this.tokens.delete(token.id)
  }

  /** What is on its way stays as it is. */
  close(): void {
    this.#stop.abort()
  }
}

const ignoreStop = (): void => undefined
/** Whoever waits for an answer when the cloud stops loses the connection. */
const cut = (): never => {
  throw new ConnectionReset()
}
const never = (): Promise<never> => new Promise(() => undefined)

function refusalOf(rule: FaultRule): Refusal {
  const { status = 500, message = messageOf(status) } = rule
  return new Refusal(status, message)
}
