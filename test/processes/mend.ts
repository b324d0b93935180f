import { changeVolume } from '../../sandbox/volumes.ts'
import { PoolError } from '../../src/pool/errors.ts'
import { query } from '../../src/store/connection/database.ts'
import type { ServiceProcess } from './service-process.ts'
import { type Stage, TIMEOUT_SECONDS } from './stage.ts'

/** What others than the service do for it: time, and an administrator of the cloud. */
export async function mend(stage: Stage): Promise<void> {
  try {
    await letTimePass(stage)
    await repair(stage)
  } catch (error) {
    if (!(error instanceof PoolError)) throw error // PostgreSQL is being restarted.
  }
}

const PATIENCE_MS = 2_000

/** What an operator may ask of one of the replicas; whether it succeeds is not waited for long. */
export async function operate(
  stage: Stage,
  replicas: readonly ServiceProcess[],
  ...paths: ('/pool/resume' | '/pool/check')[]
): Promise<void> {
  const [url] = replicas.flatMap(({ url }) => url ?? [])
  const headers = { 'content-type': 'application/json', 'x-auth-token': stage.token('admin', 'pool') }
  for (const path of url ? paths : []) {
    const body = path === '/pool/resume' ? { body: '{}' } : {}
    const signal = AbortSignal.timeout(PATIENCE_MS)
    await fetch(url + path, { method: 'POST', headers, signal, ...body }).catch(() => undefined)
  }
}

/** By then nothing is on its way any more of a call that the service gave up, nor of a fault. */
const LOST_AFTER_SECONDS = 2 * TIMEOUT_SECONDS + 2
const PASSED_SECONDS = 660
/** Of the time and the minute that arming a volume may take. */
const ARMING_LEFT_MS = (TIMEOUT_SECONDS + 60 - LOST_AFTER_SECONDS) * 1000

/**
 * What is lost is known for lost only after two minutes, and what hangs after ten. Here nothing takes longer than some
 * seconds: for what does, that time passes at once. It is no lead time, by which the service would wait longer for others.
 */
async function letTimePass({ db }: Stage): Promise<void> {
  const now = Date.now()
  const [before, since] = [now - LOST_AFTER_SECONDS * 1_000, now - PASSED_SECONDS * 1_000].map(ms => new Date(ms))
  await query(
    db,
    `update backup_volumes set created_at = :since
      where available_at is null and (status <> 'retiring' or volume_id is null)
        and created_at between :since and :before`,
    { before, since }
  )
  // Who says that he arms a volume, and is killed, has it to himself for as long as a call to the cloud may be on its way.
  await query(db, 'update backup_volumes set arming_until = null where arming_until < :armedSince', {
    armedSince: new Date(now + ARMING_LEFT_MS)
  })
  await query(db, 'delete from lead_times where seconds > :most', { most: LOST_AFTER_SECONDS })
}

/** What only an administrator of the cloud may do: reset what Cinder believes to be making or deleting for ever. */
async function repair({ cloud, db, admin }: Stage): Promise<void> {
  const rows = await query<{ volume_id: string | null }>(
    db,
    "select volume_id from backup_volumes where status = 'retiring'"
  )
  for (const { volume_id: id } of rows) {
    const volume = id === null ? undefined : cloud.volumes.get(id)
    if (!volume || !['creating', 'error_deleting'].includes(volume.status)) continue
    changeVolume(cloud, admin, volume, { status: 'error' })
  }
}
