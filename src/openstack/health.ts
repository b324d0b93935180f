import type { RequestReport } from './exchange.ts'

/** Whether the cloud answers, as its last answers show. */
export class CloudHealth {
  #reachable = true
  #lastError: string | undefined

  get state(): { readonly reachable: boolean; readonly lastError: string | undefined } {
    return { reachable: this.#reachable, lastError: this.#lastError }
  }

  /** A refusal is an answer too. Only the service's own login must not be refused. */
  noteRequest({ service, operation, outcome }: RequestReport): void {
    if (outcome === 'ok') this.#reachable = true
    else if (['unavailable', 'timeout', 'failed'].includes(outcome)) this.#fail(`${service}: ${operation}: ${outcome}`)
  }

  noteFailedLogin(error: unknown): void {
    this.#fail(error instanceof Error ? error.message : String(error))
  }

  #fail(what: string): void {
    this.#reachable = false
    this.#lastError = what
  }
}
