/** What an administrator of the cloud sets for a while. Whoever sets it undoes it: the cloud outlives the tests. */
import assert from 'node:assert/strict'
import type { Body, Session } from './session.ts'

type Undo = () => Promise<void>

/** What a project may have of something; -1 for as much as it likes. */
type Quota = Readonly<Record<string, number>>

export interface ProjectQuota {
  readonly limit: (quota: Quota) => Promise<void>
  /** As it was at first: a step back from a lower limit may be refused, for what the project has come to hold. */
  readonly undo: Undo
}

export async function quotaOf(admin: Session, { projectId }: Session): Promise<ProjectQuota> {
  const path = `/os-quota-sets/${projectId}`
  const { quota_set: before } = await admin.get(path)
  const changed = new Set<string>()
  const limit = async (quota: Quota): Promise<void> => {
    for (const name of Object.keys(quota)) changed.add(name)
    const answer = await admin.call('PUT', path, { quota_set: quota })
    assert.equal(answer.status, 200, answer.text)
  }
  const undo = (): Promise<void> => limit(Object.fromEntries([...changed].map(name => [name, before[name]])))
  return { limit, undo }
}

/** A volume type that only the projects may use which it was shown to. */
export interface HiddenType {
  readonly id: string
  readonly show: (to: Session) => Promise<void>
  readonly undo: Undo
}

export async function hideType(admin: Session, name: string): Promise<HiddenType> {
  const { id } = (await admin.get('/types')).volume_types.find((type: Body) => type.name === name)
  const setPublic = async (isPublic: boolean): Promise<void> => {
    const answer = await admin.call('PUT', `/types/${id}`, { volume_type: { is_public: isPublic } })
    assert.equal(answer.status, 200, answer.text)
  }
  const access = async (change: 'addProjectAccess' | 'removeProjectAccess', project: string): Promise<void> => {
    const answer = await admin.call('POST', `/types/${id}/action`, { [change]: { project } })
    assert.equal(answer.status, 202, answer.text)
  }
  const shownTo: string[] = []
  const show = async ({ projectId }: Session): Promise<void> => {
    await access('addProjectAccess', projectId)
    shownTo.push(projectId)
  }
  const undo = async (): Promise<void> => {
    for (const project of shownTo) await access('removeProjectAccess', project) // Refused for a public type.
    await setPublic(true)
  }
  await setPublic(false)
  return { id, show, undo }
}
