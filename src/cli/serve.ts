import { Command } from 'commander'
import { newId, systemClock } from '../clock.ts'
import { ConfigError } from '../config/config-faults.ts'
import type { Config } from '../config/schema.ts'
import type { Log } from '../pool/ports.ts'
import type { Service } from '../service.ts'
import { configOption, demoConfig, loadServiceConfig } from './config.ts'

/** `spare-pool serve`: the service; without a configuration, a demonstration of all of it. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('run the service; without a configuration, a demonstration with a cloud of its own')
    .addOption(configOption())
    .action(async ({ config: file }: { config?: string }) => {
      const config = await loadServiceConfig(file, process.env)
      await (config ? runUntilStopped(config, startService => startService({ config })) : runDemo())
    })
}

/** Everything on this machine: a sandbox cloud, an embedded PostgreSQL, the service and its page. */
async function runDemo(): Promise<void> {
  const { poolLogin } = await import('../../sandbox/seed.ts')
  const { startSandbox } = await import('../../sandbox/server.ts')
  // The database outlives this cloud: a volume of it must not bear the id of one that an earlier run had.
  const port = sandboxPort(process.env)
  const sandbox = await startSandbox({ clock: systemClock, port, delays: 'measured', run: newId() })
  const env = withoutOpenstack(process.env)
  const config = await demoConfig(poolLogin(sandbox.authUrl), env)
  await runUntilStopped(config, async startService => {
    const service = await startService({ config, env })
    process.stderr.write(greeting(service.url, sandbox.url))
    return {
      stop: async () => {
        await service.stop()
        await sandbox.close()
      }
    }
  })
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

type Start = (startService: typeof import('../service.ts').startService) => Promise<Pick<Service, 'stop'>>

/** Stops in order at the first SIGTERM or SIGINT, at once at the second, and when the time is up. */
async function runUntilStopped(config: Config, start: Start): Promise<void> {
  const [{ createLog }, { startService }] = await Promise.all([import('../log.ts'), import('../service.ts')])
  const log = createLog(config.log.level)
  const asked = new Promise<void>(resolve => {
    let signals = 0
    const onSignal = (signal: NodeJS.Signals): void => {
      signals += 1
      if (signals > 1) process.exit(1)
      log.info({ signal }, 'service stopping')
      void exitWhenLate(config.server.shutdown_seconds, log) // Also while it has not started yet.
      resolve()
    }
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  })
  const service = await start(startService)
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
