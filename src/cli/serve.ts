import { Command } from 'commander'
import { systemClock } from '../clock.ts'
import type { Config } from '../config.ts'
import { createLog } from '../log.ts'
import { startSandbox } from '../sandbox/server.ts'
import { type Service, startService } from '../service.ts'
import { configOption, demoConfig, loadServiceConfig } from './config.ts'

/** `spare-pool serve`: the service; without a configuration, a demonstration of all of it. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('run the service; without a configuration, a demonstration with a cloud of its own')
    .addOption(configOption())
    .action(async ({ config: file }: { config?: string }) => {
      const config = loadServiceConfig(file, process.env)
      await (config ? runUntilStopped(config, () => startService({ config })) : runDemo())
    })
}

/** Everything on this machine: a sandbox cloud, an embedded PostgreSQL, the service and its page. */
async function runDemo(): Promise<void> {
  const port = Number(process.env['SANDBOX_PORT'] ?? 8791)
  const sandbox = await startSandbox({ port, delays: 'measured' })
  const config = demoConfig(sandbox.authUrl, process.env)
  await runUntilStopped(config, async () => {
    const service = await startService({ config, env: withoutOpenstack(process.env) })
    process.stderr.write(greeting(service.url, sandbox.url))
    return {
      stop: async () => {
        await service.stop()
        await sandbox.close()
      }
    }
  })
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
  const log = createLog(config.log.level)
  let signals = 0
  let stopAsked: (signal: NodeJS.Signals) => void = () => undefined
  const asked = new Promise<NodeJS.Signals>(resolve => {
    stopAsked = resolve
  })
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1
    if (signals > 1) process.exit(1)
    stopAsked(signal)
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  const service = await start()
  const signal = await asked
  log.info({ signal }, 'service stopping')
  const seconds = config.server.shutdown_seconds
  const late = systemClock.sleep(seconds * 1000).then(() => {
    log.error({ seconds }, 'service did not stop in time')
    process.exit(1)
  })
  await Promise.race([service.stop(), late])
  log.info({}, 'service stopped')
  process.exit(0)
}
