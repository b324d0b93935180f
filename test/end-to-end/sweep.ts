import { eventually } from '../support/eventually.ts'
import type { Body, Session } from '../support/session.ts'

const isGolden = ({ name }: Body): boolean => (name ?? '').startsWith('golden-')

/** Every volume of the cloud, whoever's, but for the golden ones. */
export async function allVolumes(admin: Session): Promise<Body[]> {
  const { volumes } = await admin.get('/volumes/detail?all_tenants=1&limit=1000')
  return volumes.filter((volume: Body) => !isGolden(volume))
}

/** Every transfer that waits, whoever's. */
export const allTransfers = async (admin: Session): Promise<Body[]> =>
  (await admin.get('/volume-transfers/detail?all_tenants=1')).transfers

/** Back to golden disks alone, by an administrator's force: this cloud is there for tests and nobody else. */
export async function sweep(admin: Session): Promise<void> {
  for (const { id } of await allTransfers(admin)) await admin.call('DELETE', `/volume-transfers/${id}`)
  const isEmpty = async (): Promise<boolean> => {
    const volumes = await allVolumes(admin)
    // What is still being made cannot be deleted without breaking the make: it is waited for.
    const ended = volumes.filter(({ status }) => status !== 'creating' && status !== 'deleting')
    await Promise.all(ended.map(({ id }) => admin.action(id, 'os-force_delete')))
    return volumes.length === 0
  }
  await eventually('all volumes but the golden ones are gone', isEmpty)
}
