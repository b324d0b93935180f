import type { CloudErrorCode } from '../pool/errors.ts'

export const NAMES = { keystone: 'Keystone', cinder: 'Cinder' } as const
export type Service = keyof typeof NAMES

export interface Request {
  readonly service: Service
  /** For metrics and messages: `volume_create`, `token_issue`, … */
  readonly operation: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Twice is the same as once. Only then is it repeated after an unclear failure. */
  readonly idempotent: boolean
  /** Never quoted in a message. */
  readonly secrets?: readonly string[]
  /** Not every release has this address: a 404 means so, even one that is not in Cinder's own words. */
  readonly mayBeMissing?: boolean | undefined
}

/** One request and how it ended, for metrics. */
export interface RequestReport {
  readonly service: Service
  readonly operation: string
  readonly outcome: 'ok' | CloudErrorCode
  readonly seconds: number
}

/** An answer as it came. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export function header(answer: Answer, name: string): string | undefined {
  const value = answer.headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** There was no connection, so certainly nothing was sent. */
export class NotConnected extends Error {}
