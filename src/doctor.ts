import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { newId, systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { createLog } from './log.ts'
import { type DatabaseFacts, examine } from './operations/examine.ts'
import { type Finding, warning } from './pool/examination.ts'
import { findSecret } from './secret.ts'
import { addressOf, connectCloud, type ServiceOptions, type Stops, settingsOf } from './service.ts'
import { openDatabase } from './store/database.ts'
import { inspectDatabase } from './store/inspect.ts'

export interface ExamineOptions extends Pick<ServiceOptions, 'config' | 'env'> {
  /** Projects that disks are to go to. */
  readonly projectIds: readonly string[]
}

/** Looks at all that a configuration names, for `doctor`; makes and changes nothing. */
export async function examineConfig({ config, env = process.env, projectIds }: ExamineOptions): Promise<Finding[]> {
  const stops: Stops = []
  const cloud = connectCloud(config, env, systemClock, () => undefined)
  stops.push(() => cloud.close())
  const tokenProjects = config.access.tokens.flatMap(({ project_id: id }) => id ?? [])
  const examined = {
    cloud,
    settings: settingsOf(config),
    clock: systemClock,
    newId,
    callersAccept: config.access.mode === 'keystone',
    projectIds: [...new Set([...projectIds, ...(config.access.mode === 'token' ? tokenProjects : [])])],
    database: () => inspectStore(config, stops),
    secret: findSecret(config.secret_file, env)
  }
  try {
    const findings = await examine(examined, { requestId: `req-${newId()}` })
    return [...findings, ...cloud.warnings.map(({ found, advice }) => warning('settings', found, advice))]
  } finally {
    for (const end of stops.toReversed()) await end()
  }
}

/** Undefined: the embedded database does not exist yet. One that does is started for the look. */
async function inspectStore({ database }: Config, stops: Stops): Promise<DatabaseFacts | undefined> {
  if (!database.url && !existsSync(join(database.embedded?.data_dir ?? './data', 'postgres'))) return undefined
  const db = openDatabase(await addressOf(database, systemClock, createLog('silent'), stops))
  stops.push(async () => await db.destroy())
  return await inspectDatabase(db)
}
