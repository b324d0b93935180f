import type { Call, Project } from '../../pool/ports.ts'
import type { SealedTransfer, Spare } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'

/** Creates a transfer for a spare's volume. Cinder tells its key only now, so it is sealed at once. */
export async function arm(
  deps: Deps,
  poolProject: Project,
  spare: Spare,
  volumeId: string,
  call: Call
): Promise<SealedTransfer> {
  const { id, authKey } = await poolProject.transfers.create(volumeId, spare.name, call)
  return { id, sealedKey: deps.keyring.seal(authKey) }
}

/** Deletes all transfers of a volume, also those whose key is lost: then nobody can accept it any more. */
export async function disarm(poolProject: Project, volumeId: string, call: Call): Promise<void> {
  for (const { id } of await poolProject.transfers.ofVolume(volumeId, call))
    await poolProject.transfers.delete(id, call)
}

/** Whether spares in stock wait in a transfer. */
export const arms = ({ settings }: Deps): boolean => settings.prearm && settings.handover === 'transfer'
