import type { Operation } from './delays.ts'
import type { Random } from './random.ts'

export const FAULT_KINDS = [
  'status',
  'delay',
  'hang',
  'reset_before',
  'reset_after',
  'revoke_tokens',
  'over_quota',
  'error_volume',
  'stuck_creating',
  'vanish',
  'busy_delete'
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** The kinds that only some operations can meet. */
const LIMITED: Partial<Record<FaultKind, readonly Operation[]>> = {
  over_quota: ['volume_create', 'volume_extend', 'transfer_accept'],
  error_volume: ['volume_create', 'volume_extend', 'volume_delete'],
  stuck_creating: ['volume_create'],
  vanish: ['volume_create'],
  busy_delete: ['volume_delete']
}

export interface FaultRule {
  /** Absent: any. */
  readonly operation?: Operation | '*'
  readonly kind: FaultKind
  /** How often it strikes at most; absent: until it is removed. */
  readonly count?: number
  /** So many calls that it could strike pass before it does; absent: none. */
  readonly after?: number
  /** That it strikes a call; absent: 1. */
  readonly probability?: number
  /** For `status`. */
  readonly status?: number
  readonly message?: string
  /** How long `delay` lasts, and how long the others wait before they strike. */
  readonly ms?: number
  /** `status` and `hang`: the call is carried out all the same, only its answer is lost. */
  readonly acts?: boolean
}

export interface Fault extends FaultRule {
  readonly id: number
  strikes: number
  /** So many more. */
  after?: number
}

/** The rules in force, and the dice. */
export class Faults {
  readonly #random: Random
  #rules: Fault[] = []
  #lastId = 0

  constructor(random: Random) {
    this.#random = random
  }

  list(): readonly Fault[] {
    return this.#rules
  }

  /** A rule that could never strike as it is meant to is a RangeError. */
  add(rule: FaultRule): Fault {
    const { kind, operation = '*', status, ms } = rule
    const sensible = LIMITED[kind]
    if (kind === 'status' && status === undefined) throw new RangeError('status: is required for this kind')
    if (kind === 'delay' && ms === undefined) throw new RangeError('ms: is required for this kind')
    if (sensible && operation !== '*' && !sensible.includes(operation)) {
      throw new RangeError(`operation: ${kind} strikes only ${sensible.join(', ')}`)
    }
    this.#lastId += 1
    const fault = { ...rule, id: this.#lastId, strikes: 0 }
    this.#rules.push(fault)
    return fault
  }

  /** Without an id: all. False: there is no such rule. */
  remove(id?: number): boolean {
    const before = this.#rules.length
    this.#rules = id === undefined ? [] : this.#rules.filter(rule => rule.id !== id)
    return id === undefined || this.#rules.length < before
  }

  /** The fault that strikes this call, if any: the oldest rule that fits and whose dice fall so. */
  draw(operation: Operation): Fault | undefined {
    const fault = this.#rules.find(
      rule =>
        fits(rule, operation) &&
        !letsPass(rule) &&
        (rule.probability === undefined || this.#random.fraction() < rule.probability)
    )
    if (fault) fault.strikes += 1
    return fault
  }
}

function letsPass(rule: Fault): boolean {
  if (!rule.after) return false
  rule.after -= 1
  return true
}

const fits = ({ operation: wanted = '*', kind, count, strikes }: Fault, operation: Operation): boolean =>
  (wanted === '*' || wanted === operation) &&
  (LIMITED[kind]?.includes(operation) ?? true) &&
  (count === undefined || strikes < count)
