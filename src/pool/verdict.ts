import type { Volume } from './ports.ts'
import { DEPLOYMENT_KEY, isSize, isSpareId, SPARE_ID_KEY, type Spare, spareName } from './spare.ts'

/**
 * What a look at a spare's volume means for the spare.
 * `keep`: nothing to do. `stock`: ready to be armed and put into stock. `rearm`: a transfer waits whose key we do not have, or
 * none waits though one should. `retire`: unfit, to be deleted. `drop`: gone, or no longer ours to touch.
 */
export type Verdict = 'keep' | 'stock' | 'rearm' | 'retire' | 'drop'

/** A spare that is being made. `available` means that Cinder has finished all of it, the flattening too. */
export function verdictOnCreating({ volumeType }: Pick<Spare, 'volumeType'>, volume: Volume | undefined): Verdict {
  if (!volume) return 'drop'
  const { status, attached } = volume
  // Cinder took its default type, or an admin has changed it. Such a disk fits nobody.
  if (volume.volumeType !== volumeType && !attached) return 'retire'
  if (['creating', 'downloading', 'extending'].includes(status)) return 'keep'
  if (status === 'available') return attached ? 'drop' : 'stock'
  if (status === 'awaiting-transfer') return 'rearm' // A run died before it could note the key, which Cinder tells only once.
  return isFault(status) ? 'retire' : 'drop'
}

const LEAST_PATIENCE_SECONDS = 600

/**
 * How long a creation may take before it is given up, by the longest in its pool so far. Generous: a volume that only waits for
 * its turn is made all the same, and deleted then. Many that wait in line for one snapshot are not given up while the line
 * moves, since each takes longer than the one before it.
 */
export const patienceSeconds = (longestSeconds = 0): number => Math.max(LEAST_PATIENCE_SECONDS, 3 * longestSeconds)

/** A spare in stock. `armed`: it should wait in a transfer. */
export function verdictOnAvailable({ transfer }: Spare, volume: Volume | undefined, armed: boolean): Verdict {
  if (!volume) return 'drop'
  const { status, attached } = volume
  if (status === 'extending') return 'keep'
  if (status === 'awaiting-transfer') return transfer ? 'keep' : 'rearm'
  if (status === 'available' && !attached) return transfer || armed ? 'rearm' : 'keep'
  return isFault(status) ? 'retire' : 'drop'
}

const isFault = (volumeStatus: string): boolean => volumeStatus.startsWith('error') || volumeStatus === 'deleting'

/**
 * Whether a claim still has the volume in hand: as a spare, or renamed for the claim by an earlier try. If not, it was given
 * away or taken meanwhile, as when a backup of the database was restored and the rows are out of date.
 */
export const isInHand = (
  volume: Volume,
  spare: Spare,
  claimName: string,
  deployment: string,
  poolProjectId: string
): boolean =>
  isOurs(volume, spare.id, deployment, poolProjectId) ||
  ([spare.name, claimName].includes(volume.name) &&
    volume.metadata[DEPLOYMENT_KEY] === undefined &&
    volume.projectId === poolProjectId &&
    !volume.attached)

/** Whether we may hand out and delete the volume: it has our name and metadata, is in our project, and is not attached. */
export const isOurs = (volume: Volume, spareId: string, deployment: string, poolProjectId: string): boolean =>
  volume.name === spareName(spareId) &&
  volume.metadata[DEPLOYMENT_KEY] === deployment &&
  volume.metadata[SPARE_ID_KEY] === spareId &&
  volume.projectId === poolProjectId &&
  !volume.attached

/** The id of the spare that this volume was made for. Undefined: somebody else has made or changed it. */
export function spareIdOf(volume: Volume, deployment: string, poolProjectId: string): string | undefined {
  const id = volume.metadata[SPARE_ID_KEY] ?? ''
  const isWhole = isSpareId(id) && isSize(volume.sizeGib)
  return isWhole && isOurs(volume, id, deployment, poolProjectId) ? id : undefined
}

/** Cinder refuses to transfer an encrypted volume, and up to Pike gives it away without a key that opens it. */
export const cannotMove = (volume: Volume, handover: 'transfer' | 'rename'): boolean =>
  volume.encrypted && handover === 'transfer'
