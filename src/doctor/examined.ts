import type { Reader } from '../operations/images/read-images.ts'
import { CloudError } from '../pool/errors.ts'
import type { Cloud, CloudFacts } from '../pool/ports.ts'
import type { StoredStock } from '../pool/stores.ts'

/** A configuration, and ways to look at what it names. */
export interface Examined extends Reader {
  readonly cloud: Cloud & CloudFacts
  /** Callers come with Keystone tokens of their own, which can accept. */
  readonly callersAccept: boolean
  /** Projects that disks are to go to. */
  readonly projectIds: readonly string[]
  /** Undefined: it is the embedded one, and not there yet. */
  readonly database: () => Promise<DatabaseFacts | undefined>
  /** Where the secret is; undefined: nowhere yet. */
  readonly secret: string | undefined
}

export interface DatabaseFacts {
  readonly version: string
  readonly isStandby: boolean
  readonly pending: readonly string[]
  /** Why migrations would be refused. */
  readonly refused: string | undefined
  /** Undefined: its tables are not there. */
  readonly stock: StoredStock | undefined
  /** What its clock says. */
  readonly time: () => Promise<Date>
}

/** What to do when Cinder does not do what it is asked. */
export function cinderAdvice(error: unknown): string {
  const code = error instanceof CloudError ? error.code : undefined
  if (code === 'forbidden')
    return "give the service's user the role member in the pool's project, or see Cinder's policy"
  if (code === 'unavailable' || code === 'timeout') {
    return "see that Cinder runs and that its address in Keystone's catalogue can be reached from here: openstack.interface, openstack.region_name or openstack.block_storage_endpoint_override choose another"
  }
  return "do what it says; Cinder's log has more under the request's id, where there is one"
}
