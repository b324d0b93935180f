#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { claimCommand } from './cli/claim.ts'
import { doctorCommand } from './cli/doctor.ts'
import { migrateCommand } from './cli/migrate.ts'
import { planCommand } from './cli/plan.ts'
import { sandboxCommand } from './cli/sandbox.ts'
import { serveCommand } from './cli/serve.ts'
import { statsCommand } from './cli/stats.ts'
import { syncCommand } from './cli/sync.ts'
import { packageVersion } from './package-root.ts'

const FAILED = 1
const WRONG_USAGE = 2

const program = new Command('spare-pool')
  .description('A stock of ready-made Cinder volumes, handed to tenants in milliseconds.')
  .version(packageVersion())
  .exitOverride()
const commands = [
  serveCommand,
  migrateCommand,
  doctorCommand,
  sandboxCommand,
  statsCommand,
  planCommand,
  claimCommand,
  syncCommand
]
for (const create of commands) program.addCommand(create().exitOverride())

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : FAILED) // A reader such as `head` has seen enough.
})

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : WRONG_USAGE) // Commander has said why.
  process.stderr.write(`spare-pool: ${explain(error)}\n`)
  process.exit(error instanceof Error && error.name === 'ConfigError' ? WRONG_USAGE : FAILED)
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!('code' in error) || error.code !== 'EADDRINUSE') return error.message
  return `${error.message}: stop what listens there, or choose other ports (PORT, server.port; SANDBOX_PORT, --port)`
}
