import type { Claim } from '../../pool/claim.ts'
import { settleClaim } from '../claim/claim-disk.ts'
import { watch } from '../claim/held-claim.ts'
import { concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { type TickRun, tolerant } from '../tolerant.ts'

const PAGE = 100

/** Settles the claims that nobody works on, page by page, however many cannot be settled yet. */
export async function settleClaims(deps: Deps, run: TickRun): Promise<number> {
  let settled = 0
  let last: Claim | undefined
  do {
    const claims = await deps.claims.toSettle(deps.clock.now(), PAGE, last)
    const ids = claims.map(({ id }) => id)
    settled += await settleEach(deps, ids, run)
    const lapsed = ids.filter(id => deps.watched.has(id))
    if (lapsed.length > 0) {
      await watch(deps, run)
      settled += await settleEach(deps, lapsed, run)
    }
    last = claims[PAGE - 1]
  } while (last)
  return settled
}

async function settleEach(deps: Deps, ids: readonly string[], run: TickRun): Promise<number> {
  let settled = 0
  await concurrently(ids, 4, async id => {
    if (await tolerant(deps, run, { claim_id: id }, () => settleClaim(deps, id, run))) settled += 1
  })
  return settled
}
