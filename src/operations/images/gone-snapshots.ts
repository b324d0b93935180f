import { CloudError, PoolError } from '../../pool/errors.ts'
import { type Image, isGone, isGoneSnapshot, snapshotIdsOf } from '../../pool/image.ts'
import type { Call, Snapshot } from '../../pool/ports.ts'
import type { PoolName } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'

/** How Cinder refuses to make a volume of a snapshot that is not there, or not as it was. Others are refused so, too. */
const REFUSALS = ['not_found', 'bad_request']

/** After a create was refused: whether its snapshot is gone, which is told by a look, and noted so that nobody tries again. */
export async function isOfGoneSnapshot(deps: Deps, snapshotId: string, error: unknown, call: Call): Promise<boolean> {
  if (!(error instanceof CloudError) || error.mayHaveActed || !REFUSALS.includes(error.code)) return false
  const pool = await deps.cloud.poolProject(call)
  const snapshot = await pool.snapshots.find(snapshotId, call).catch(ifNotSeen)
  if (snapshot === 'unseen' || !isGoneSnapshot(snapshot)) return false
  if (await deps.images.noteGone(snapshotId)) {
    deps.log.warn({ snapshot_id: snapshotId, error: error.message }, 'snapshot is gone')
  }
  deps.wake('replenish') // It looks for the next one, or says that there is none.
  return true
}

/** The refusal is told, then, as it came. */
function ifNotSeen(error: unknown): 'unseen' {
  if (!(error instanceof CloudError)) throw error
  return 'unseen'
}

/** Which snapshots of these images are gone, by a list of all; a list that lacks one is not believed without a look. */
export async function goneAmong(
  deps: Pick<Deps, 'cloud'>,
  images: readonly Image[],
  snapshots: readonly Snapshot[],
  call: Call
): Promise<string[]> {
  const listed = new Map(snapshots.map(snapshot => [snapshot.id, snapshot]))
  const pool = await deps.cloud.poolProject(call)
  const gone: string[] = []
  for (const id of images.flatMap(snapshotIdsOf)) {
    if (isGoneSnapshot(listed.get(id) ?? (await pool.snapshots.find(id, call)))) gone.push(id)
  }
  return gone
}

/** What is noted of a pool, and told to a claim that would have a disk made. */
export const IMAGE_GONE =
  'image gone: the snapshot that disks of this os and type are made from was deleted in Cinder, or is in error, and no ' +
  'other has taken its place. Run `spare-pool sync` (POST /os/sync), which reads the snapshots again'

export function requireSnapshot(image: Image): void {
  if (isGone(image)) throw imageGone(image)
}

const imageGone = ({ os, type, snapshotId }: Image & PoolName): PoolError =>
  new PoolError(
    'image_gone',
    `No spare of ${os} on ${type} is left, and none can be made: snapshot ${snapshotId}, which its disks are made from, was ` +
      'deleted in Cinder, or is in error, and no other has taken its place. Have an operator run `spare-pool sync` ' +
      '(POST /os/sync), which reads the snapshots again; then repeat the claim.'
  )
