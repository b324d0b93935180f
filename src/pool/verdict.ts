import type { Volume } from './ports.ts'
import { DEPLOYMENT_KEY, isSize, isSpareId, isSpareName, SPARE_ID_KEY, type Spare, spareName } from './spare.ts'

/**
 * What a look at a spare's volume means for it.
 * `keep`: nothing to do. `stock`: ready to be armed and put into stock. `rearm`: a transfer waits whose key we do not have,
 * or none waits though we think so. `retire`: unfit, to be deleted. `drop`: gone, or no longer ours to touch.
 */
export type Verdict = 'keep' | 'stock' | 'rearm' | 'retire' | 'drop'

/**
 * A spare that is being made. `available` means that Cinder has finished with it, flatten and all. One of another volume type
 * than was asked for, since Cinder took the default one or an admin has changed it, is nobody's disk.
 */
export function verdictOnCreating({ volumeType }: Pick<Spare, 'volumeType'>, volume: Volume | undefined): Verdict {
  if (!volume) return 'drop'
  if (volume.volumeType !== volumeType && !volume.attached) return 'retire'
  switch (volume.status) {
    case 'creating':
    case 'downloading':
    case 'extending':
      return 'keep'
    case 'available':
      return volume.attached ? 'drop' : 'stock'
    case 'awaiting-transfer':
      return 'rearm' // Armed by a run that died before it could note the key, which Cinder tells only once.
    default:
      return isFault(volume) ? 'retire' : 'drop'
  }
}

const LEAST_PATIENCE_SECONDS = 600

/**
 * How long a creation may take before it is given up, by the longest that one of its pool has taken. Generous, since a volume
 * whose turn had only not come yet is made all the same, and deleted then. Many that wait in line for one snapshot are not
 * given up while it moves: each that is finished took longer than the one before it.
 */
export const patienceSeconds = (longestSeconds = 0): number => Math.max(LEAST_PATIENCE_SECONDS, 3 * longestSeconds)

/** A spare in stock; `armed`: it should wait in a transfer. */
export function verdictOnAvailable(spare: Spare, volume: Volume | undefined, armed: boolean): Verdict {
  if (!volume) return 'drop'
  switch (volume.status) {
    case 'available':
      if (volume.attached) return 'drop'
      return spare.transfer || armed ? 'rearm' : 'keep'
    case 'awaiting-transfer':
      return spare.transfer ? 'keep' : 'rearm'
    case 'extending':
      return 'keep'
    default:
      return isFault(volume) ? 'retire' : 'drop'
  }
}

/**
 * A volume that was handed over and not renamed, or by half: Cinder writes the metadata first and the name after that, and up
 * to Newton finds the volume no more for the second where it was accepted in between.
 */
export const lacksItsName = ({ name, metadata }: Volume, deployment: string): boolean =>
  metadata[DEPLOYMENT_KEY] === deployment || (metadata[DEPLOYMENT_KEY] === undefined && isSpareName(name))

const isFault = (volume: Volume): boolean => volume.status.startsWith('error') || volume.status === 'deleting'

/**
 * Whether a volume is still as a claim has it in hand: a spare's, or under the claim's name already and our mark off, since an
 * earlier try may have renamed it. Anything else was given away, or taken, meanwhile: after a backup of the database was
 * restored, rows are older than what they are about.
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

/** Whether a volume is still a spare's, to hand out and to delete: our name and metadata, our project, attached to nothing. */
export const isOurs = (volume: Volume, spareId: string, deployment: string, poolProjectId: string): boolean =>
  volume.name === spareName(spareId) &&
  volume.metadata[DEPLOYMENT_KEY] === deployment &&
  volume.metadata[SPARE_ID_KEY] === spareId &&
  volume.projectId === poolProjectId &&
  !volume.attached

/** The id of the spare whose volume this is, as our creations leave it. Undefined: made or changed by somebody else. */
export function spareIdOf(volume: Volume, deployment: string, poolProjectId: string): string | undefined {
  const id = volume.metadata[SPARE_ID_KEY] ?? ''
  const isWhole = isSpareId(id) && isSize(volume.sizeGib)
  return isWhole && isOurs(volume, id, deployment, poolProjectId) ? id : undefined
}

/** Cinder refuses to transfer an encrypted volume, and up to Pike gives it away without a key that opens it. */
export const cannotMove = (volume: Volume, handover: 'transfer' | 'rename'): boolean =>
  volume.encrypted && handover === 'transfer'
