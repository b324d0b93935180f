import { InvalidArgumentError, Option } from 'commander'
import { loadConfig } from './config.ts'

export interface ServiceOptions {
  readonly url?: string
  readonly config?: string
}

export const urlOption = (): Option =>
  new Option('--url <url>', "the running service's address; default: that of the configuration").argParser(text => {
    if (URL.canParse(text) && /^https?:/.test(text)) return text
    throw new InvalidArgumentError('An address such as http://127.0.0.1:8790 is wanted.')
  })

/** A request that the service refused, or that did not reach it. */
export class RequestError extends Error {}

const DEFAULT_URL = 'http://127.0.0.1:8790'
const TIMEOUT_MS = 260_000 // Longer than a sync may take.

/** Calls a running service with the token of SPARE_POOL_TOKEN and gives its answer. */
export async function callService(
  options: ServiceOptions,
  method: 'GET' | 'POST',
  path: string,
  body?: object
): Promise<unknown> {
  const url = options.url ?? addressOf(options.config)
  const token = process.env['SPARE_POOL_TOKEN']
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    // Every mode reads this header; in both, one of ours would be taken for a Keystone token to accept with as well.
    ...(token ? { 'x-auth-token': token } : {})
  }
  const { request } = (await import('undici')).default // It has no other export once it is in a bundle.
  const answer = await request(new URL(path, url), {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    headersTimeout: TIMEOUT_MS
  }).catch((error: Error) => {
    throw new RequestError(
      `No answer from ${url}: ${error.message}. Is the service running? --url names another address.`
    )
  })
  const text = await answer.body.text()
  if (answer.statusCode < 300) return JSON.parse(text)
  throw new RequestError(explain(answer.statusCode, text))
}

function addressOf(file: string | undefined): string {
  const config = loadConfig(file, process.env)
  if (!config) return DEFAULT_URL
  const { host, port } = config.server
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host // Listening everywhere, it is here as well.
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

function explain(status: number, text: string): string {
  try {
    const { code, detail, request_id } = JSON.parse(text) as Record<string, string>
    return `${status} ${code}: ${detail} (${request_id})`
  } catch {
    return `${status}: ${text.slice(0, 500)}`
  }
}

export const printJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
