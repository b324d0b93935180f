import type { Call, Project } from '../../pool/ports.ts'
import type { SealedTransfer, Spare } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'

/** Creates a transfer for a spare's volume. Its key is told only now, and sealed at once. */
export async function arm(
  deps: Deps,
  pool: Project,
  spare: Spare,
  volumeId: string,
  call: Call
): Promise<SealedTransfer> {
  const { id, authKey } = await pool.transfers.create(volumeId, spare.name, call)
  return { id, sealedKey: deps.keyring.seal(authKey) }
}

/** Takes back whatever transfers wait for a volume, those with a lost key too: then nobody can accept it any more. */
export async function disarm(pool: Project, volumeId: string, call: Call): Promise<void> {
  for (const { id } of await pool.transfers.ofVolume(volumeId, call)) await pool.transfers.delete(id, call)
}

/** Whether spares in stock wait in a transfer. */
export const arms = ({ settings }: Deps): boolean => settings.prearm && settings.handover === 'transfer'
