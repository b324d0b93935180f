import { CloudError } from '../pool/errors.ts'
import type { Call, Volume } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import type { Fields } from './fields.ts'

export const isIn = ({ projectId }: Cinder, volume: Volume): boolean => volume.projectId === projectId

export const pathOf = (volumeId: string): string => `/volumes/${encodeURIComponent(volumeId)}`

export async function findInProject(cinder: Cinder, volumeId: string, call: Call): Promise<Volume | undefined> {
  const request = { operation: 'volume_show', path: pathOf(volumeId) }
  const volume = await cinder.find(request, call, body => toVolume(body.object('volume'), cinder))
  return volume && isIn(cinder, volume) ? volume : undefined
}

/**
 * Call before a change by a volume's id. Throws what Cinder itself answers a member: another project's volume is not there. Free
 * for a token that Cinder keeps to its project.
 */
export async function requireInProject(cinder: Cinder, volumeId: string, call: Call): Promise<void> {
  if (cinder.isConfined || (await findInProject(cinder, volumeId, call))) return
  const message = `Cinder: volume ${volumeId} is not in project ${cinder.projectId}.`
  throw new CloudError('not_found', message, { status: 404 })
}

/** The answer to a creation lacks the project, which is the token's. */
export const toNewVolume = (body: Fields, cinder: Cinder): Volume => ({
  ...toVolume(body, cinder),
  projectId: cinder.projectId
})

/** Where the policy hides a volume's project, it is this one only for a token that sees no other. */
export function toVolume(body: Fields, { isConfined, projectId }: Cinder): Volume {
  const metadata = body.object('metadata')
  return {
    id: body.text('id'),
    name: body.optionalText('name') ?? '',
    status: body.text('status'),
    sizeGib: body.number('size'),
    volumeType: body.optionalText('volume_type') ?? '',
    snapshotId: body.optionalText('snapshot_id'),
    projectId: body.optionalId('os-vol-tenant-attr:tenant_id') ?? (isConfined ? projectId : ''),
    metadata: Object.fromEntries(metadata.keys().map(key => [key, metadata.text(key)])),
    attached: body.list('attachments').length > 0,
    bootable: body.optionalText('bootable') !== 'false', // A text, in every release.
    encrypted: body.flag('encrypted'),
    createdAt: body.time('created_at')
  }
}
