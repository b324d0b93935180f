import { Command } from 'commander'
import { newId, systemClock } from '../clock.ts'
import { parseConfig } from '../config/config.ts'
import { ConfigError } from '../config/config-faults.ts'
import type { Config } from '../config/schema.ts'
import type { Log } from '../pool/ports.ts'
import type { Service } from '../service.ts'
import { configOption, loadServiceConfig } from './config.ts'

/** `spare-pool serve`: the service. Without a configuration, a demonstration of all of it. */
export const serveCommand = (): Command =>
  new Command('serve')
    .description('run the service; without a configuration, a demonstration with a cloud of its own')
    .addOption(configOption())
    .action(async ({ config: file }: { config?: string }) => {
      const config = await loadServiceConfig(file)
      if (!config) return await runDemo()
      const { startService } = await import('../service.ts')
      await runUntilStopped(config, () => startService({ config }))
    })

/** Everything on this machine: a sandbox cloud, an embedded PostgreSQL, the service and its page. */
async function runDemo(): Promise<void> {
  const { poolLogin } = await import('../../sandbox/seed.ts')
  const { startSandbox } = await import('../../sandbox/server.ts')
  const { serviceProblems, startService } = await import('../service.ts')
  const port = sandboxPort(process.env)
  // The database outlives this cloud, so each run needs volume ids of its own.
  const sandbox = await startSandbox({ clock: systemClock, port, delays: 'measured', run: newId() })
  const env = withoutOpenstack(process.env)
  const document = { ...DEMO, openstack: { auth: poolLogin(sandbox.authUrl) } }
  const config = parseConfig(document, env, 'the demonstration', (parsed, isSound) => {
    return serviceProblems(parsed, env, isSound)
  })
  await runUntilStopped(config, async () => {
    const service = await startService({ config, env })
    process.stderr.write(greeting(service.url, sandbox.url))
    return { stop: () => service.stop().then(() => sandbox.close()) }
  })
}

const DEMO = {
  database: { embedded: { data_dir: './data' } },
  pools: [
    { os: 'debian12', type: 'ssd', target: 5 },
    { os: 'debian12', type: 'sas', target: 3 },
    { os: 'windows2022', type: 'ssd', target: 2 }
  ],
  ticks: { replenish: '*/5 * * * * *', check_state: '*/1 * * * * *', reconcile: '0 * * * * *' },
  access: { mode: 'none' }
}

function sandboxPort({ SANDBOX_PORT = '8791' }: NodeJS.ProcessEnv): number {
  const port = Number(SANDBOX_PORT)
  if (/^\d+$/.test(SANDBOX_PORT) && port <= 65_535) return port
  throw new ConfigError('the environment', ['SANDBOX_PORT: must be a whole number, 65535 or less'])
}

/** The demonstration must not log in to the cloud of somebody's shell. */
const withoutOpenstack = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('OS_')))

const greeting = (url: string, sandboxUrl: string): string => `
  The page, with every pool's level:  ${url}/
  The API's documentation:            ${url}/docs
  A sandbox cloud, users "pool-svc", "tenant-a-user", … with password "sandbox": ${sandboxUrl}

  Claim a disk:
    curl -s ${url}/pool/claim -H 'content-type: application/json' \\
      -d '{"hostname": "web-01", "os": "debian12", "type": "ssd"}'

  No configuration was given, so nothing here is real. To use a cloud: npm start -- --config config.yaml

`

/** Stops in order at the first SIGTERM or SIGINT, at once at the second, and when the time is up. */
async function runUntilStopped(config: Config, start: () => Promise<Pick<Service, 'stop'>>): Promise<void> {
  const { createLog } = await import('../log.ts')
  const log = createLog(config.log.level)
  const asked = new Promise<void>(resolve => {
    let signals = 0
    const onSignal = (signal: NodeJS.Signals): void => {
      signals += 1
      if (signals > 1) process.exit(1)
      log.info({ signal }, 'service stopping')
      void exitWhenLate(config.server.shutdown_seconds, log) // The start itself may hang, too.
      resolve()
    }
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  })
  const service = await start()
  await asked
  await service.stop()
  log.info({}, 'service stopped')
  process.exit(0)
}

async function exitWhenLate(seconds: number, log: Log): Promise<void> {
  await systemClock.sleep(seconds * 1000)
  log.error({ seconds }, 'service did not stop in time')
  process.exit(1)
}
