/** The cloud that is measured: who acts in it, its switches, and how it is left behind. */
import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { cloudsEntry, ctl, loggedIn } from '../../test/openstack/cloud.ts'
import { type GoldenDisk, goldenSnapshot } from '../../test/openstack/golden.ts'
import setUp from '../../test/openstack/setup.ts'
import type { Body, Session } from '../../test/support/session.ts'

/** Names this service's volumes in their metadata; all else that is made here has a name that begins with it. */
export const DEPLOYMENT = 'bench'
const MIB_A_GIB = 1024
const GIB = 1024 ** 3

export interface Stage {
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** The service's own user, in the pool's project. */
  readonly pool: Session
  /** An admin in the pool's project. */
  readonly operator: Session
  /** Whoever claims. */
  readonly tenant: Session
  /** An admin in the tenant's project, who alone can create there from the pool's snapshots. */
  readonly provisioner: Session
}

const startedAt = performance.now()

/** What is being done, and since when. */
export function say(what: string): void {
  const seconds = Math.round((performance.now() - startedAt) / 1_000)
  process.stderr.write(`[${String(seconds).padStart(4)}s] ${what}\n`)
}

/** Everybody logged in; the cloud is brought up where it does not answer. */
export async function openStage(signal: AbortSignal): Promise<Stage> {
  if (!(await isUp())) {
    process.env['OPENSTACK_OSD_GB'] ??= '56'
    say(`no cloud answers: test/openstack/up brings one up, with ${process.env['OPENSTACK_OSD_GB']} GB of Ceph`)
    await setUp()
  }
  const [pool, operator, tenant, provisioner] = await Promise.all([
    loggedIn('pool-svc'),
    loggedIn('admin'),
    loggedIn('tenant-a-user'),
    loggedIn('admin', cloudsEntry('tenant-a-user').project)
  ])
  return { signal, pool, operator, tenant, provisioner }
}

const isUp = async (): Promise<boolean> =>
  await loggedIn('admin').then(
    async admin => (await admin.call('GET', '/os-services')).status === 200,
    () => false
  )

export async function pause({ signal }: Pick<Stage, 'signal'>, ms: number): Promise<void> {
  await wait(ms, undefined, { signal })
}

/** Has Cinder ask Keystone about everybody's token, which it then believes for five minutes: until all is measured. */
export async function showTokens({ pool, tenant, provisioner }: Stage): Promise<void> {
  for (const session of [pool, tenant, provisioner]) await session.get('/limits')
}

/** Asks until there is an answer. Unlike in tests, what fails is loud at once. */
export async function until<T>(
  stage: Pick<Stage, 'signal'>,
  what: string,
  ask: () => Promise<T | undefined>,
  { everyMs = 500, secondsMax = 900 } = {}
): Promise<T> {
  const deadline = performance.now() + secondsMax * 1_000
  for (;;) {
    stage.signal.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(`waited ${secondsMax} s in vain: ${what}`)
    await pause(stage, everyMs)
  }
}

/** As whoever can see it does. A volume that failed is a failure here. */
export async function untilAvailable(
  stage: Pick<Stage, 'signal'>,
  session: Session,
  volumeId: string,
  everyMs?: number
): Promise<void> {
  const look = async (): Promise<true | undefined> => isAvailable((await session.get(`/volumes/${volumeId}`)).volume)
  await until(stage, `volume ${volumeId} is available`, look, everyMs === undefined ? {} : { everyMs })
}

/** Undefined: not yet. */
export function isAvailable({ id, status }: Body): true | undefined {
  assert.match(status, /^(creating|available)$/, `volume ${id}`)
  return status === 'available' || undefined
}

/** What Ceph can hold, and how much of that is free. Near its end it takes nothing more. */
export async function capacity(): Promise<{ readonly totalGib: number; readonly freeGib: number }> {
  const { stats } = JSON.parse(await ctl('ceph', 'df', '-f', 'json'))
  const usable = 0.88 * stats.total_bytes
  return { totalGib: stats.total_bytes / GIB, freeGib: (usable - stats.total_used_raw_bytes) / GIB }
}

export async function requireSpace(needGib: number): Promise<void> {
  const { totalGib, freeGib } = await capacity()
  if (freeGib >= needGib) return
  throw new Error(
    `This needs ${needGib.toFixed(1)} GiB in Ceph, and of the OSD's ${totalGib.toFixed(1)} only ${freeGib.toFixed(1)} ` +
      `can be used. Measure less (--sizes, --at-once), or make a larger cloud: test/openstack/down --wipe, then ` +
      `OPENSTACK_OSD_GB=${Math.ceil(totalGib + (needGib - freeGib) / 0.88 + 1)} test/openstack/up`
  )
}

/** A disk of so much data, on a volume with room besides, and its snapshot. */
export async function goldenDisk({ pool }: Stage, name: string, dataMib: number): Promise<Body> {
  say(`golden disk ${name}: ${dataMib} MiB of data`)
  const sizeGib = Math.floor(dataMib / MIB_A_GIB) + 1
  const disk: GoldenDisk = { name, type: 'ceph-ssd', sizeGib, dataMib }
  return await goldenSnapshot(pool, disk)
}

/** Does something while each operation of the OSD takes so much longer. */
export async function slowed<T>(ms: number, work: () => Promise<T>): Promise<T> {
  if (ms === 0) return await work()
  await ctl('slow', String(ms))
  try {
    return await work()
  } finally {
    await ctl('slow', '0')
  }
}

/** Whether Cinder flattens; it is restarted for that, and used once, so that nobody else waits for its start. */
export async function switchFlatten(stage: Stage, flatten: boolean, snapshotId: string): Promise<void> {
  say(`flatten ${flatten ? 'on' : 'off'}`)
  await ctl('flatten', flatten ? 'on' : 'off')
  const { id } = await stage.pool.create({ name: `${DEPLOYMENT}-first`, snapshot_id: snapshotId })
  await untilAvailable(stage, stage.pool, id)
  await clearVolumes(stage)
}

const isOurs = ({ name, metadata }: Body): boolean =>
  metadata.spare_pool === DEPLOYMENT || String(name).startsWith(`${DEPLOYMENT}-`)

/** Deletes all volumes that were made here, but for the golden ones, and waits until they are gone. */
export async function clearVolumes(stage: Stage): Promise<void> {
  await Promise.all([stage.operator, stage.provisioner].map(admin => clear(stage, admin, isOurs)))
}

/** Only what was claimed or created; the stock stays. */
export const clearTenant = (stage: Stage): Promise<void> => clear(stage, stage.provisioner, isOurs)

async function clear(stage: Pick<Stage, 'signal'>, admin: Session, matches: (volume: Body) => boolean): Promise<void> {
  const asked = new Set<string>()
  await until(stage, `the volumes of project ${admin.projectId} are gone`, async () => {
    const left = (await admin.get('/volumes/detail')).volumes.filter(matches)
    for (const { id, status } of left) {
      // One that is being made is let finish: deleted under way it may leave its data behind.
      if (status === 'creating' || (status === 'deleting' && asked.has(id)) || asked.has(`${id} ${status}`)) continue
      asked.add(id).add(`${id} ${status}`)
      const deleted = await admin.action(id, 'os-force_delete')
      assert.ok([202, 404].includes(deleted.status), deleted.text)
    }
    return left.length === 0 || undefined
  })
}

/** As it was: nothing of ours, at full speed, flatten on. Also what an earlier run may have left. */
export async function tidyUp(stage: Stage): Promise<void> {
  await ctl('slow', '0')
  await ctl('flatten', 'on')
  await clearVolumes(stage)
  const { operator } = stage
  await until(stage, 'the golden snapshots are gone', async () => {
    const all = (await operator.get('/snapshots/detail')).snapshots
    const left = all.filter(({ name }: Body) => String(name).startsWith(DEPLOYMENT))
    for (const { id, status } of left) {
      if (status !== 'available') continue
      const deleted = await operator.call('DELETE', `/snapshots/${id}`)
      assert.ok([202, 404].includes(deleted.status), deleted.text)
    }
    return left.length === 0 || undefined
  })
  await clear(stage, operator, ({ name }) => String(name).startsWith(`golden-${DEPLOYMENT}`))
}
