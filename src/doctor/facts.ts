import type { Reader } from '../operations/images/read-images.ts'
import { CloudError, PoolError } from '../pool/errors.ts'
import type { Call, Cloud, CloudFacts } from '../pool/ports.ts'
import { type Check, type CheckId, type Finding, failed, groupOf, type Outcome, skipped } from './finding.ts'

/** What the checks look at. */
export interface Site extends Reader {
  readonly cloud: Cloud & CloudFacts
  readonly call: Call
}

/** A fact that could not be read. The check that it belongs to fails, and all others that need it are skipped. */
export class Unread {
  readonly check: CheckId
  readonly failure: Outcome
  /** What the skipped checks say. */
  readonly why: string

  constructor(check: CheckId, why: string, error: Error) {
    this.check = check
    this.failure = explain(check, error)
    this.why = why
  }
}

type Known<Facts extends readonly unknown[]> = { [K in keyof Facts]: Exclude<Facts[K], Unread> }

/** Reads a fact with the help of others. */
export async function read<Facts extends readonly unknown[], T>(
  check: CheckId,
  why: string,
  needed: readonly [...Facts],
  work: (...known: Known<Facts>) => Promise<T>
): Promise<T | Unread> {
  const unread = needed.find(fact => fact instanceof Unread)
  return unread ?? (await work(...(needed as Known<Facts>)).catch((error: Error) => new Unread(check, why, error)))
}

/** Judges the facts that a check needs. */
export function check<Facts extends readonly unknown[]>(
  id: CheckId | Check,
  needed: readonly [...Facts],
  judge: (...known: Known<Facts>) => Outcome
): Finding {
  const which = typeof id === 'string' ? { id } : id
  const unread = needed.filter(fact => fact instanceof Unread)
  const own = unread.find(fact => fact.check === which.id)
  if (own) return { ...which, ...own.failure }
  return { ...which, ...(unread[0] ? skipped(unread[0].why) : judge(...(needed as Known<Facts>))) }
}

export const orUndefined = <T>(fact: T | Unread): T | undefined => (fact instanceof Unread ? undefined : fact)

function explain(check: CheckId, error: Error): Outcome {
  const group = groupOf(check)
  if (group === 'database') return explainDatabase(error)
  const code = error instanceof CloudError ? error.code : undefined
  return failed(error.message, group === 'login' ? loginAdvice(code) : cinderAdvice(code))
}

/** The server's own words, and what our error says to do. */
function explainDatabase(error: Error): Outcome {
  if (!(error instanceof PoolError)) return failed(error.message, 'see database in the configuration')
  const advice = error.message.replace(/ Nothing is lost.*$/, '')
  return failed((error.cause instanceof Error && error.cause.message) || advice, advice)
}

const loginAdvice = (code: string | undefined): string =>
  code === 'login_refused'
    ? 'check user, password, project and domains under openstack.auth: Keystone says the same of a wrong password, an unknown user or project, and a user without a role in the project'
    : "check openstack.auth.auth_url, and that Keystone can be reached from here: it must answer on that address's /v3"

function cinderAdvice(code: string | undefined): string {
  if (code === 'forbidden')
    return "give the service's user the role member in the pool's project, or see Cinder's policy"
  if (code === 'unavailable' || code === 'timeout')
    return "see that Cinder runs and that its address in Keystone's catalogue can be reached from here: openstack.interface, openstack.region_name or openstack.block_storage_endpoint_override choose another"
  return "do what it says; Cinder's log has more under the request's id, where there is one"
}
