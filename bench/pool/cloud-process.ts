/**
 * The sandbox cloud as a process of its own, so that its work is told apart from the service's, and is the same for
 * whatever is measured on it. It does what its parent asks for, one command after another.
 */
import { setImmediate } from 'node:timers/promises'
import { changedDelays, type DelayChange } from '../../sandbox/delays.ts'
import { login } from '../../sandbox/identity.ts'
import type { Caller, Project, User } from '../../sandbox/model.ts'
import { setQuota } from '../../sandbox/quotas.ts'
import type { SeededCloud } from '../../sandbox/seed.ts'
import { PASSWORD } from '../../sandbox/seed.ts'
import { startSandbox } from '../../sandbox/server.ts'
import { addTransfer } from '../../sandbox/transfers.ts'
import { createVolume } from '../../sandbox/volumes.ts'
import { systemClock } from '../../src/clock.ts'

export interface Facts {
  readonly url: string
  readonly authUrl: string
  /** Ids by name. */
  readonly projects: Readonly<Record<string, string>>
}

export interface Golden {
  readonly snapshotId: string
  readonly volumeId: string
}

export interface Wish {
  readonly deployment: string
  readonly snapshotId: string
  readonly spareIds: readonly string[]
}

export interface Armed {
  readonly volumeId: string
  readonly transferId: string
  readonly authKey: string
}

/** A day: no token that the floor was given at its start expires while it is measured. */
const TOKEN_SECONDS = 86_400

const sandbox = await startSandbox({ clock: systemClock, delays: 'none', journalMax: 0, tokenSeconds: TOKEN_SECONDS })
const { cloud } = sandbox
const pool = projectNamed(cloud, 'pool')
const poolUser = userNamed(cloud, 'pool-svc')
const byPool: Caller = { userId: poolUser.id, projectId: pool.id, roles: ['member'], requestId: 'req-bench' }
prepare()

const commands = {
  facts: (): Facts => ({
    url: sandbox.url,
    authUrl: sandbox.authUrl,
    projects: Object.fromEntries([...cloud.projects.values()].map(({ id, name }) => [name, id]))
  }),
  token: ({ user, project }: { user: string; project: string }): string => {
    const domain = { id: 'default' }
    return login(cloud, {
      identity: { methods: ['password'], password: { user: { name: user, domain, password: PASSWORD } } },
      scope: { project: { name: project, domain } }
    }).id
  },
  addSnapshots: (names: readonly string[]): Golden[] =>
    names.map(name => {
      const { id, volumeId } = cloud.addSnapshot({ name })
      return { snapshotId: id, volumeId }
    }),
  /** Volumes such as the service makes, each in a transfer. */
  makeSpares: async (wish: Wish): Promise<Armed[]> => {
    const volumes = makeVolumes(wish)
    await setImmediate() // With a cloud without delays they are finished then.
    return volumes.map(volume => {
      const { id, name } = volume
      const transfer = addTransfer(cloud, byPool, volume, { volumeId: id, name, noSnapshots: true })
      return { volumeId: id, transferId: transfer.id, authKey: transfer.authKey }
    })
  },
  /** Their ids. Where the cloud takes its time they stay in `creating`. */
  startVolumes: (wish: Wish): string[] => makeVolumes(wish).map(({ id }) => id),
  delay: (change: DelayChange): void => {
    cloud.delays = changedDelays(cloud.delays, change)
  },
  /** What was handed over, as if its owners had deleted it: the cloud must not grow with each round. */
  forgetHandedOver: (): number => {
    const given = [...cloud.volumes.of()].filter(({ projectId }) => projectId !== pool.id)
    for (const volume of given) cloud.volumes.remove(volume)
    return given.length
  }
}

export type CloudCommands = typeof commands

function makeVolumes({ deployment, snapshotId, spareIds }: Wish) {
  return spareIds.map(id =>
    createVolume(cloud, byPool, {
      name: `spare-${id}`,
      description: null,
      sizeGib: null,
      type: null,
      snapshotId,
      sourceVolumeId: null,
      availabilityZone: null,
      metadata: { spare_pool: deployment, spare_id: id }
    })
  )
}

/** No quota stands in the way of what is measured, and the service's user may claim into every project. */
function prepare(): void {
  for (const { id } of cloud.projects.values()) {
    for (const resource of ['volumes', 'gigabytes', 'snapshots']) setQuota(cloud, id, resource, -1)
  }
  poolUser.roles.set(pool.id, new Set(['member', 'service']))
}

function projectNamed(from: SeededCloud, name: string): Project {
  const found = [...from.projects.values()].find(project => project.name === name)
  if (!found) throw new Error(`there is no project ${name}`)
  return found
}

function userNamed(from: SeededCloud, name: string): User {
  const found = [...from.users.values()].find(user => user.name === name)
  if (!found) throw new Error(`there is no user ${name}`)
  return found
}

interface Command {
  readonly id: number
  readonly name: keyof CloudCommands
  readonly wish: never
}

process.on('message', ({ id, name, wish }: Command) => {
  const run: (wish: never) => unknown = commands[name]
  Promise.resolve()
    .then(() => run(wish))
    .then(
      result => process.send?.({ id, result }),
      (error: unknown) => process.send?.({ id, error: String(error) })
    )
})
process.on('disconnect', () => process.exit(0))
