import type { Reader } from '../operations/images/read-images.ts'
import { CloudError, PoolError } from '../pool/errors.ts'
import type { Call, Cloud, CloudFacts } from '../pool/ports.ts'
import { type Check, type CheckId, type Finding, failed, groupOf, type Outcome, skipped } from './finding.ts'

/** Where the checks look. */
export interface Site extends Reader {
  readonly cloud: Cloud & CloudFacts
  readonly call: Call
}

/** Something that several checks need. It is asked for once, when the first of them does. */
export type Fact<T> = () => Promise<T>

/** A fact could not be read. The check that it belongs to fails; all others that need it are skipped, and say why. */
class Unread extends Error {
  readonly check: CheckId

  constructor(check: CheckId, why: string, cause: Error) {
    super(why, { cause })
    this.check = check
  }
}

export function fact<T>(check: CheckId, whySkipped: string, ask: () => Promise<T>): Fact<T> {
  let answer: Promise<T> | undefined
  return () => {
    answer ??= ask().catch((error: Error) => {
      throw error instanceof Unread ? error : new Unread(check, whySkipped, error)
    })
    return answer
  }
}

/** For checks that can do without it: the check that it belongs to says why it could not be read. */
export const ifKnown = async <T>(known: Fact<T>): Promise<T | undefined> => await known().catch(() => undefined)

/** Runs a check, which may ask for facts. */
export async function check(id: CheckId | Check, judge: () => Promise<Outcome>): Promise<Finding> {
  const which = typeof id === 'string' ? { id } : id
  const outcome = await judge().catch((error: Error) => {
    if (!(error instanceof Unread)) return explain(which.id, error)
    return error.check === which.id ? explain(which.id, error.cause as Error) : skipped(error.message)
  })
  return { ...which, ...outcome }
}

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
