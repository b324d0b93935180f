import { PoolError } from '../pool/errors.ts'

/** How many claims of one project may be under way, so that those of a project that waits leave room for all others. */
export class ProjectShare {
  readonly #max: number
  readonly #underWay = new Map<string, number>()

  constructor(claimsInFlightMax: number) {
    this.#max = Math.max(1, Math.floor(claimsInFlightMax / 2))
  }

  async run<T>(projectId: string, claim: () => Promise<T>): Promise<T> {
    const before = this.#underWay.get(projectId) ?? 0
    if (before >= this.#max) throw tooMany(before, projectId)
    this.#underWay.set(projectId, before + 1)
    try {
      return await claim()
    } finally {
      const left = (this.#underWay.get(projectId) ?? 1) - 1
      if (left > 0) this.#underWay.set(projectId, left)
      else this.#underWay.delete(projectId)
    }
  }
}

const tooMany = (underWay: number, projectId: string): PoolError =>
  new PoolError(
    'rate_limited',
    `${underWay} claims are under way for project ${projectId}, which is half of server.claims_in_flight_max, as many as one ` +
      'project may have. Nothing was done: repeat the claim.',
    { retryAfterSeconds: 1 }
  )
