import type { Volume } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import type { Fields } from './fields.ts'

export const isIn = ({ projectId }: Cinder, volume: Volume): boolean => volume.projectId === projectId

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
