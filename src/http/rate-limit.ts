import { createHash } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../config/schema.ts'
import { PoolError } from '../pool/errors.ts'

const MINUTE_MS = 60_000
const KNOWN_MAX = 10_000

/** Counts what callers ask for; throws `rate_limited` when it is too much. */
export interface RateLimit {
  /** Before anybody is asked who it is: a token that was never good counts against the address that it comes from. */
  stranger(request: FastifyRequest): Promise<void>
  /** Where no token is needed: whoever asks counts against its address, whatever it is known by. */
  anybody(request: FastifyRequest): Promise<void>
  /** Once that is known. */
  caller(request: FastifyRequest): Promise<void>
}

const NO_LIMIT = async (): Promise<void> => undefined

export async function createRateLimit(
  app: FastifyInstance,
  config: Config['server']['rate_limit']
): Promise<RateLimit> {
  if (!config) return { stranger: NO_LIMIT, anybody: NO_LIMIT, caller: NO_LIMIT }
  const max = config.per_minute
  await app.register(rateLimit, { global: false })
  const options = { max, timeWindow: MINUTE_MS, cache: KNOWN_MAX }
  const strangers = app.createRateLimit(options) // By address, a whole network of IPv6 counting as one.
  const callers = app.createRateLimit({ ...options, keyGenerator: ({ caller, ip }) => caller.id ?? `address ${ip}` })
  const known = new Set<string>()
  return {
    async stranger(request) {
      if (!known.has(credentialsOf(request))) refuseBeyond(max, await strangers(request))
    },
    async anybody(request) {
      refuseBeyond(max, await strangers(request))
    },
    async caller(request) {
      remember(known, credentialsOf(request))
      refuseBeyond(max, await callers(request))
    }
  }
}

type Count = Awaited<ReturnType<ReturnType<FastifyInstance['createRateLimit']>>>

function refuseBeyond(max: number, count: Count): void {
  if (count.isAllowed || !count.isExceeded) return
  throw new PoolError(
    'rate_limited',
    `This caller has made more than ${max} requests within a minute, which is server.rate_limit. Nothing was done.`,
    { retryAfterSeconds: Math.max(1, count.ttlInSeconds) }
  )
}

/** A hash: tokens are kept nowhere. */
function credentialsOf({ headers }: FastifyRequest): string {
  const given = [headers.authorization, headers['x-auth-token']]
  return createHash('sha256').update(JSON.stringify(given)).digest('base64')
}

/** The ones seen last. */
function remember(known: Set<string>, credentials: string): void {
  known.delete(credentials)
  const [oldest] = known
  if (oldest !== undefined && known.size >= KNOWN_MAX) known.delete(oldest)
  known.add(credentials)
}
