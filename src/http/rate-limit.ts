import { createHash } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../config/schema.ts'
import { PoolError } from '../pool/errors.ts'

const MINUTE_MS = 60_000
const KNOWN_MAX = 10_000

/** What `server.rate_limit` asks for, or undefined. A count that is too high throws `rate_limited`. */
export async function createRateLimit(app: FastifyInstance, config: Config['server']['rate_limit']) {
  if (!config) return undefined
  const max = config.per_minute
  await app.register(rateLimit, { global: false })
  const options = { max, timeWindow: MINUTE_MS, cache: KNOWN_MAX }
  const byAddress = app.createRateLimit(options) // A whole network of IPv6 is one address.
  const byCaller = app.createRateLimit({ ...options, keyGenerator: ({ caller, ip }) => caller.id ?? `address ${ip}` })
  const known = new Set<string>()
  return {
    /** Whether these credentials were good before. Others count by address, so that a flood of them never reaches Keystone. */
    knows: (request: FastifyRequest): boolean => known.has(credentialsOf(request)),
    countByAddress: async (request: FastifyRequest) => refuseBeyond(max, await byAddress(request)),
    async countByCaller(request: FastifyRequest): Promise<void> {
      remember(known, credentialsOf(request))
      refuseBeyond(max, await byCaller(request))
    }
  }
}

type Count = Awaited<ReturnType<ReturnType<FastifyInstance['createRateLimit']>>>

function refuseBeyond(max: number, count: Count): void {
  if (count.isAllowed || !count.isExceeded) return
  const why = `This caller has sent more than ${max} requests in a minute: see server.rate_limit. Nothing was done.`
  throw new PoolError('rate_limited', why, { retryAfterSeconds: Math.max(1, count.ttlInSeconds) })
}

/** A hash: tokens are not kept. */
function credentialsOf({ headers }: FastifyRequest): string {
  const given = [headers.authorization, headers['x-auth-token']]
  return createHash('sha256').update(JSON.stringify(given)).digest('base64')
}

/** Keeps those that were seen last. */
function remember(known: Set<string>, credentials: string): void {
  known.delete(credentials)
  const [oldest] = known
  if (oldest !== undefined && known.size >= KNOWN_MAX) known.delete(oldest)
  known.add(credentials)
}
