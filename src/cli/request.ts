import { Command, InvalidArgumentError, Option } from 'commander'
import { readConfig } from '../config/config.ts'
import { configOption } from './config.ts'

export interface ClientOptions {
  readonly url?: string | undefined
  readonly config?: string | undefined
  readonly json?: true
}

/** A command that calls a running service. */
export const clientCommand = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .addOption(configOption())
    .addOption(
      new Option('--url <url>', "the running service's address; default: that of the configuration").argParser(text => {
        if (URL.canParse(text) && /^https?:/.test(text)) return text
        throw new InvalidArgumentError('Give an address such as http://127.0.0.1:8790.')
      })
    )

export const jsonOption = (): Option => new Option('--json', 'the whole answer as JSON')

const TIMEOUT_MS = 260_000 // Longer than a sync may take.

/** Calls the service with the token of SPARE_POOL_TOKEN. Throws when it refuses, or cannot be reached. */
export async function callService(
  options: ClientOptions,
  method: 'GET' | 'POST',
  path: string,
  body?: object
): Promise<unknown> {
  const url = options.url ?? addressOf(options.config)
  const token = process.env['SPARE_POOL_TOKEN']
  const headers = {
    ...(body && { 'content-type': 'application/json' }),
    // Every mode reads this header. With `authorization` as well, ours would be taken for a Keystone token that accepts.
    ...(token && { 'x-auth-token': token })
  }
  const { request } = (await import('undici')).default // In a bundle it has no other export.
  const answer = await request(new URL(path, url), {
    method,
    headers,
    body: body ? JSON.stringify(body) : null,
    headersTimeout: TIMEOUT_MS
  }).catch((error: Error) => {
    throw new Error(`No answer from ${url}: ${error.message}. Is the service running? --url names another address.`)
  })
  const text = await answer.body.text()
  if (answer.statusCode < 300) return JSON.parse(text)
  throw new Error(explain(answer.statusCode, text))
}

function addressOf(file: string | undefined): string {
  if (file === undefined) return 'http://127.0.0.1:8790'
  const { host, port } = readConfig(file, process.env).server
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host // A service that listens everywhere is here too.
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
