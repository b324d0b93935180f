import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { newId, systemClock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { findSecret } from '../config/secret.ts'
import { createLog } from '../log.ts'
import { addressOf, connectCloud, type ServiceOptions, type Stops } from '../service.ts'
import { settingsOf } from '../settings.ts'
import { openDatabase } from '../store/connection/database.ts'
import { inspectDatabase } from '../store/inspect.ts'
import { type Examination, examine } from './examine.ts'
import type { DatabaseFacts } from './examined.ts'
import { warning } from './finding.ts'

export interface ExamineOptions extends Pick<ServiceOptions, 'config' | 'env' | 'clock'> {
  /** Projects that disks are to go to. */
  readonly projectIds: readonly string[]
}

/** Looks at all that a configuration names, for `doctor`; makes and changes nothing. */
export async function examineConfig(options: ExamineOptions): Promise<Examination> {
  const { config, env = process.env, clock = systemClock, projectIds } = options
  const stops: Stops = []
  const cloud = connectCloud(config, env, clock, () => undefined)
  stops.push(() => cloud.close())
  const tokenProjects = config.access.tokens.flatMap(({ project_id: id }) => id ?? [])
  const examined = {
    cloud,
    settings: settingsOf(config),
    clock,
    newId,
    callersAccept: config.access.mode === 'keystone',
    projectIds: [...new Set([...projectIds, ...(config.access.mode === 'token' ? tokenProjects : [])])],
    database: () => inspectStore(config, stops),
    secret: findSecret(config.secret_file, env)
  }
  try {
    const { cinder, findings } = await examine(examined, { requestId: `req-${newId()}` })
    const warnings = cloud.warnings.map(({ found, advice }) => warning('configuration.login', found, advice))
    return { cinder, findings: [...warnings, ...findings] }
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
