import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Lifetime } from '../lifetime.ts'
import { Deployment } from './deployment.ts'
import type { FloorSettings } from './floor.ts'
import type { BenchDatabase, Stage } from './stage.ts'

const PROGRAM = fileURLToPath(new URL('floor.js', import.meta.url))

export interface FloorProcess {
  readonly url: string
  readonly pid: number
}

/** Keys as they are: whoever kept them in clear would serve claims as well. */
const UNSEALED = { seal: (key: string): string => key }

/** What floors work on. */
export const openFloorDeployment = (t: Lifetime, stage: Stage, name: string, pools: number): Promise<Deployment> =>
  Deployment.open(t, stage, name, pools, UNSEALED)

export async function startFloor(
  t: Lifetime,
  stage: Stage,
  { url: databaseUrl }: BenchDatabase
): Promise<FloorProcess> {
  const { cloud, facts, serviceToken } = stage
  const settings: FloorSettings = {
    databaseUrl,
    cinderUrl: `${facts.url}/volume`,
    pool: { id: facts.projects['pool'] ?? '', token: serviceToken },
    destination: {
      id: facts.projects['tenant-a'] ?? '',
      token: await cloud.ask('token', { user: 'pool-svc', project: 'tenant-a' })
    }
  }
  const env = { ...process.env, NODE_ENV: 'production' }
  const child = fork(PROGRAM, [JSON.stringify(settings)], { env, execArgv: ['--enable-source-maps'] })
  const ended = once(child, 'exit')
  t.onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const told = (await Promise.race([once(child, 'message'), ended])) as [{ url?: string }]
  const { url } = told[0] ?? {}
  if (!url) throw new Error('The floor does not start.')
  return { url, pid: child.pid ?? 0 }
}
