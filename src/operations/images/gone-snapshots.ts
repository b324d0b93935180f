import { CloudError, PoolError } from '../../pool/errors.ts'
import { type Image, isGone, isGoneSnapshot, snapshotIdsOf } from '../../pool/image.ts'
import type { Call, Snapshot } from '../../pool/ports.ts'
import type { Deps } from '../deps.ts'

/** How Cinder refuses to make a volume from a snapshot that is gone or has changed. It has other reasons to refuse so, too. */
const REFUSALS = ['not_found', 'bad_request']

/** After a create was refused: looks whether its snapshot is gone, and notes that, so that nobody tries again. */
export async function isOfGoneSnapshot(deps: Deps, snapshotId: string, error: unknown, call: Call): Promise<boolean> {
  if (!(error instanceof CloudError) || error.mayHaveActed || !REFUSALS.includes(error.code)) return false
  const poolProject = await deps.cloud.poolProject(call)
  const snapshot = await poolProject.snapshots.find(snapshotId, call).catch(ifCloudError)
  if (snapshot === 'unseen' || !isGoneSnapshot(snapshot)) return false
  if (await deps.images.noteGone(snapshotId)) {
    deps.log.warn({ snapshot_id: snapshotId, error: error.message }, 'snapshot is gone')
  }
  deps.wake('replenish') // It looks for a successor, or says that there is none.
  return true
}

function ifCloudError(error: unknown): 'unseen' {
  if (!(error instanceof CloudError)) throw error
  return 'unseen'
}

/** Which snapshots of these images are gone. One that the listing lacks is looked at by itself. */
export async function goneAmong(
  deps: Deps,
  images: readonly Image[],
  snapshots: readonly Snapshot[],
  call: Call
): Promise<string[]> {
  const listed = new Map(snapshots.map(snapshot => [snapshot.id, snapshot]))
  const poolProject = await deps.cloud.poolProject(call)
  const gone: string[] = []
  for (const id of images.flatMap(snapshotIdsOf)) {
    if (isGoneSnapshot(listed.get(id) ?? (await poolProject.snapshots.find(id, call)))) gone.push(id)
  }
  return gone
}

const NO_SUCCESSOR = 'was deleted in Cinder, or is in error, and no other has taken its place'
const SYNC = '`spare-pool sync` (POST /os/sync), which reads the snapshots again'

/** Noted of a pool, and shown to operators. */
export const IMAGE_GONE = `image gone: the snapshot that disks of this os and type are made from ${NO_SUCCESSOR}. Run ${SYNC}`

/** Before a disk is made for a claim. */
export function requireSnapshot(image: Image): void {
  if (!isGone(image)) return
  const { os, type, snapshotId } = image
  throw new PoolError(
    'image_gone',
    `No spare of ${os} on ${type} is left, and none can be made: snapshot ${snapshotId}, which its disks are made from, ` +
      `${NO_SUCCESSOR}. Have an operator run ${SYNC}; then repeat the claim.`
  )
}
