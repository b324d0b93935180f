/** A bug that somebody might well plant, and the tests that must notice it. */
export interface Mutant {
  readonly name: string
  readonly file: string
  /** What stands there once, and what the bug makes of it. */
  readonly find: string
  readonly replace: string
  /** Files of which at least one test must fail. */
  readonly caughtBy: readonly string[]
}

const SIMULATION = ['test/simulation/simulation.test.ts']

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'rival claims wait for the same spare: no `skip locked`',
    file: 'src/store/spares.ts',
    find: 'for update of spare skip locked`',
    replace: 'for update of spare`',
    caughtBy: ['test/store/spares.test.ts']
  },
  {
    name: 'rival claims take the same spare: no lock at all',
    file: 'src/store/spares.ts',
    find: '\n     for update of spare skip locked`',
    replace: '`',
    caughtBy: ['test/store/spares.test.ts']
  },
  {
    name: 'replicas plan side by side: no planning lock',
    file: 'src/store/stock.ts',
    find: "await query(tx, 'select pg_advisory_xact_lock(:lock)', { lock: PLANNING_LOCK })",
    replace: 'void PLANNING_LOCK',
    caughtBy: ['test/store/stock.test.ts']
  },
  {
    name: 'a spare of an old snapshot is handed out',
    file: 'src/store/spares.ts',
    find: 'and (spare.kept or spare.snapshot_id = os.snapshot_id or spare.snapshot_id = any(os.replica_snapshot_ids))',
    replace: '',
    caughtBy: SIMULATION
  },
  {
    name: 'a create is sent again after a timeout',
    file: 'src/openstack/http.ts',
    find: 'if (!request.idempotent) return false',
    replace: '',
    caughtBy: ['test/openstack/requests.test.ts']
  },
  {
    name: 'the row of a creation goes although Cinder may have carried it out',
    file: 'src/operations/request-volume.ts',
    find: 'error instanceof CloudError && !error.mayHaveActed',
    replace: 'error instanceof CloudError',
    caughtBy: SIMULATION
  },
  {
    name: 'after an unclear accept another spare is handed out',
    file: 'src/operations/hand-over.ts',
    find: 'if (!error.mayHaveActed || unclear === ACCEPT_TRIES) throw unsettled(error.message)',
    replace: 'if (!error.mayHaveActed || unclear === ACCEPT_TRIES) throw new UnfitSpare(error.message)',
    caughtBy: SIMULATION
  },
  {
    name: 'a spare goes back while an accept may be on its way: not disarmed',
    file: 'src/operations/put-back.ts',
    find: 'if (sent) await disarm(pool, volume.id, call)',
    replace: 'void disarm',
    caughtBy: SIMULATION
  },
  {
    name: 'a claim is settled that somebody works on: no lease',
    file: 'src/store/claims.ts',
    find: "where id = :id and status in ('open', 'creating') and (lease_until is null or lease_until < :at)",
    replace: "where id = :id and status in ('open', 'creating') and (:at::timestamptz is not null)",
    caughtBy: ['test/store/claims.test.ts', ...SIMULATION]
  },
  {
    name: 'a volume is deleted without a second look',
    file: 'src/operations/delete-retired.ts',
    find: 'if (!isOurs(volume, id, deps.settings.deployment, pool.id) || (await deps.claims.knowsVolume(volumeId))) {',
    replace:
      'if (!isOurs(volume, id, deps.settings.deployment, pool.id) && (await deps.claims.knowsVolume(volumeId))) {',
    caughtBy: SIMULATION
  },
  {
    name: 'a claim that cannot be finished keeps its spare',
    file: 'src/operations/serve-claim.ts',
    find: 'if (!(error instanceof Superseded)) await undoIfFinal(deps, work, error)',
    replace: 'if (error instanceof Superseded) await undoIfFinal(deps, work, error)',
    caughtBy: ['test/operations/claim-misses.test.ts']
  },
  {
    name: 'a claim that broke off is forgotten although Cinder has moved its disk',
    file: 'src/operations/settle-claims.ts',
    find: 'if (!isBack) return await giveMoved(deps, claim, spare, call)',
    replace: "if (!isBack) await deps.spares.retire(spare.id, 'reserved', deps.clock.now())",
    caughtBy: SIMULATION
  },
  {
    name: 'a spare that is no longer waiting in its transfer stays in stock',
    file: 'src/operations/reconcile.ts',
    find: "verdict === 'keep' && transfer && !waiting.some(({ id }) => id === transfer.id) ? 'rearm' : verdict",
    replace: 'verdict',
    caughtBy: ['test/operations/reconcile.test.ts']
  },
  {
    name: 'a disk that is nowhere any more is waited for for ever',
    file: 'src/operations/serve-claim.ts',
    find: "const isGone = work.resumed && (await whereIs(handover)) === 'nowhere'",
    replace: "const isGone = !work.resumed && (await whereIs(handover)) === 'nowhere'",
    caughtBy: ['test/operations/claim-misses.test.ts']
  }
]
