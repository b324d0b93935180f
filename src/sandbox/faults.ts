import { isOperation, OPERATIONS, type Operation } from './delays.ts'
import type { Random } from './random.ts'

/** What can go wrong, and where it makes sense; no list: everywhere. */
const KINDS = {
  status: undefined,
  delay: undefined,
  hang: undefined,
  reset_before: undefined,
  reset_after: undefined,
  revoke_tokens: undefined,
  over_quota: ['volume_create', 'volume_extend', 'transfer_accept'],
  error_volume: ['volume_create', 'volume_extend', 'volume_delete'],
  stuck_creating: ['volume_create'],
  vanish: ['volume_create'],
  busy_delete: ['volume_delete']
} as const satisfies Record<string, readonly Operation[] | undefined>
export type FaultKind = keyof typeof KINDS
export const FAULT_KINDS = Object.keys(KINDS) as FaultKind[]

export interface FaultRule {
  readonly operation: Operation | '*'
  readonly kind: FaultKind
  /** How often it strikes at most; absent: until it is deleted. */
  readonly count?: number
  /** Of striking, for each call; absent: 1. */
  readonly probability?: number
  /** For `status`. */
  readonly status?: number
  readonly message?: string
  /** How long `delay` lasts, and how long the others wait before they strike. */
  readonly ms?: number
  /** `status` and `hang` strike after the call was carried out, so that only the answer is lost. */
  readonly acts?: boolean
}

export interface Fault extends FaultRule {
  readonly id: number
  strikes: number
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

  add(rule: FaultRule): Fault {
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
      rule => fits(rule, operation) && (rule.probability === undefined || this.#random.fraction() < rule.probability)
    )
    if (fault) fault.strikes += 1
    return fault
  }
}

function fits(rule: Fault, operation: Operation): boolean {
  const sensible: readonly Operation[] | undefined = KINDS[rule.kind]
  return (
    (rule.operation === '*' || rule.operation === operation) &&
    (sensible?.includes(operation) ?? true) &&
    rule.strikes < (rule.count ?? Number.POSITIVE_INFINITY)
  )
}

const CHECKS: Record<keyof FaultRule, [(value: unknown) => boolean, string]> = {
  operation: [value => value === '*' || isOperation(String(value)), `must be "*" or one of ${OPERATIONS.join(', ')}`],
  kind: [value => FAULT_KINDS.some(kind => kind === value), `must be one of ${FAULT_KINDS.join(', ')}`],
  count: [value => Number.isInteger(value) && Number(value) > 0, 'must be a whole number, 1 or more'],
  probability: [value => typeof value === 'number' && value > 0 && value <= 1, 'must be above 0 and at most 1'],
  status: [value => Number.isInteger(value) && Number(value) >= 400 && Number(value) <= 599, 'must be 400 to 599'],
  message: [value => typeof value === 'string', 'must be a string'],
  ms: [value => typeof value === 'number' && value >= 0, 'must be milliseconds, 0 or more'],
  acts: [value => typeof value === 'boolean', 'must be true or false']
}

/** The rule in a request body; a wrong field is named. */
export function faultRule(body: Readonly<Record<string, unknown>>): FaultRule {
  for (const [field, value] of Object.entries(body)) {
    const check = Object.entries(CHECKS).find(([name]) => name === field)?.[1]
    if (!check) throw new RangeError(`${field}: no such field; there are ${Object.keys(CHECKS).join(', ')}`)
    if (!check[0](value)) throw new RangeError(`${field}: ${check[1]}`)
  }
  const rule = { operation: '*', ...body } as FaultRule
  if (!body['kind']) throw new RangeError(`kind: ${CHECKS.kind[1]}`)
  if (rule.kind === 'status' && !rule.status) throw new RangeError('status: is required for this kind')
  if (rule.kind === 'delay' && rule.ms === undefined) throw new RangeError('ms: is required for this kind')
  const sensible: readonly string[] | undefined = KINDS[rule.kind]
  if (sensible && rule.operation !== '*' && !sensible.includes(rule.operation)) {
    throw new RangeError(`operation: ${rule.kind} strikes only ${sensible.join(', ')}`)
  }
  return rule
}
