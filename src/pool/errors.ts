/** Every way in which a request can fail, by its name on the wire. */
export const POOL_ERROR_CODES = [
  'invalid_request',
  'unauthenticated',
  'rate_limited',
  'forbidden',
  'quota_exceeded',
  'project_not_accessible',
  'image_not_found',
  'claim_not_found',
  'volume_not_found',
  'not_found',
  'method_not_allowed',
  'existing_volume_unusable',
  'claim_differs',
  'sync_in_progress',
  'spare_reserved',
  'image_gone',
  'not_a_system_disk',
  'idempotency_key_reused',
  'no_images_found',
  'volume_type_hidden',
  'cloud_error',
  'cloud_unavailable',
  'cloud_timeout',
  'pool_empty',
  'claim_unsettled',
  'database_unavailable',
  'internal_error' // A fault of this service, not of a caller, the cloud or the database.
] as const
export type PoolErrorCode = (typeof POOL_ERROR_CODES)[number]

/** A failure that the caller is told about. Its message says what happened and what to do. */
export class PoolError extends Error {
  readonly code: PoolErrorCode
  /** When to repeat the request. */
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: PoolErrorCode,
    message: string,
    options: ErrorOptions & { retryAfterSeconds?: number | undefined } = {}
  ) {
    super(message, options)
    this.name = 'PoolError'
    this.code = code
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** For whoever comes too late. */
export const stopping = (): PoolError =>
  new PoolError('database_unavailable', 'The service is stopping: ask another replica, or this one when it is back.')

/**
 * How a call to the cloud failed.
 * `login_refused`: Keystone refused the service's user in its own project. `project_refused`: in another one.
 * `unauthenticated`: Cinder refused a caller's token. The service's own token is renewed instead.
 * `unavailable`: nobody answered, or a proxy or the auth middleware said 503: the call did not reach its handler.
 * `timeout`: no answer in time. `failed`: any other 5xx, a cut connection, or an answer that makes no sense.
 */
export const CLOUD_ERROR_CODES = [
  'bad_request',
  'login_refused',
  'project_refused',
  'unauthenticated',
  'forbidden',
  'not_found',
  'over_quota',
  'unavailable',
  'timeout',
  'failed'
] as const
export type CloudErrorCode = (typeof CLOUD_ERROR_CODES)[number]

/** A failed call to Keystone or Cinder. Its message quotes the cloud's own words. Operations decide what it means. */
export class CloudError extends Error {
  readonly code: CloudErrorCode
  /** The cloud may have done what was asked: look before asking again. */
  readonly mayHaveActed: boolean
  /** The cloud may still do it later, whatever a look shows: nothing has said that the request is over. */
  readonly mayStillAct: boolean
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined

  constructor(
    code: CloudErrorCode,
    message: string,
    options: ErrorOptions & { mayHaveActed?: boolean; mayStillAct?: boolean; status?: number | undefined } = {}
  ) {
    super(message, options)
    this.name = 'CloudError'
    this.code = code
    this.mayHaveActed = options.mayHaveActed ?? false
    this.mayStillAct = options.mayStillAct ?? this.mayHaveActed
    this.status = options.status
  }
}

/** The code that a caller is told. */
export function codeOf(error: unknown): PoolErrorCode {
  if (error instanceof PoolError) return error.code
  if (!(error instanceof CloudError)) return 'internal_error'
  if (error.code === 'timeout') return 'cloud_timeout'
  return error.code === 'unavailable' ? 'cloud_unavailable' : 'cloud_error'
}
