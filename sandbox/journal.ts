import type { Caller } from './model.ts'

/** One change of the cloud, in the order in which they happened. */
export interface JournalEntry {
  readonly sequence: number
  readonly at: string
  /** What changed and how: `volume.created`, `volume.status`, `transfer.accepted`, … */
  readonly change: string
  readonly project_id: string
  readonly user_id: string
  readonly request_id: string
  readonly global_request_id?: string | undefined
  readonly volume_id?: string | undefined
  readonly transfer_id?: string | undefined
  readonly snapshot_id?: string | undefined
  readonly from?: unknown
  readonly to?: unknown
}

export type Change = Pick<JournalEntry, 'change' | 'volume_id' | 'transfer_id' | 'snapshot_id' | 'from' | 'to'>

/** Every change, or the last `max` of them: a long run must not fill the memory. */
export class Journal {
  readonly #max: number
  #entries: JournalEntry[] = []
  #sequence = 0

  constructor(max: number) {
    this.#max = max
  }

  add(at: number, by: Caller, change: Change): void {
    this.#sequence += 1
    if (this.#max === 0) return
    this.#entries.push({
      sequence: this.#sequence,
      at: new Date(at).toISOString(),
      ...change,
      project_id: by.projectId,
      user_id: by.userId,
      request_id: by.requestId,
      global_request_id: by.globalRequestId
    })
    // Cut in halves, not one by one: that would move the whole list each time.
    if (this.#entries.length > 2 * this.#max) this.#entries = this.#entries.slice(-this.#max)
  }

  /** The entries after a sequence number, the oldest first. */
  after(sequence = 0): readonly JournalEntry[] {
    const first = this.#sequence - this.#entries.length + 1
    return this.#entries.slice(Math.max(0, sequence + 1 - first))
  }
}
