import { Command } from 'commander'
import type { PlanView, StatsView } from '../http/schemas.ts'
import { configOption } from './config.ts'
import { callService, printJson, type ServiceOptions, urlOption } from './request.ts'
import { printTable } from './table.ts'

type Options = ServiceOptions & { json?: boolean; window?: string }

/** `spare-pool stats`: every pool at a glance. */
export function statsCommand(): Command {
  return new Command('stats')
    .description('show every pool at a glance')
    .addOption(configOption())
    .addOption(urlOption())
    .option('--window <time>', 'count claims and times over this long, e.g. 1h, 7d', '24h')
    .option('--json', 'the whole answer as JSON')
    .action(async (options: Options) => {
      const path = `/pool/stats?window=${encodeURIComponent(options.window ?? '24h')}`
      const stats = (await callService(options, 'GET', path)) as StatsView
      if (options.json) printJson(stats)
      else printStats(stats)
    })
}

function printStats({ pools, cloud, orphans }: StatsView): void {
  printTable(
    ['OS', 'TYPE', 'CONDITION', 'AVAILABLE', 'IN FLIGHT', 'TARGET', 'IMAGE', 'HITS', 'MISSES', 'LAST ERROR'],
    pools.map(pool => [
      pool.os,
      pool.type,
      pool.condition,
      pool.spares['available'] ?? 0,
      (pool.spares['requested'] ?? 0) + (pool.spares['creating'] ?? 0),
      pool.target,
      pool.image
        ? `${pool.image.version}${pool.image.newer_in_cinder ? ` (newer: ${pool.image.newer_in_cinder})` : ''}`
        : '-',
      pool.claims.hits,
      Object.values(pool.claims.misses).reduce((sum, count) => sum + count, 0),
      pool.last_error ?? ''
    ])
  )
  if (!cloud.reachable) process.stdout.write(`\nThe cloud cannot be reached: ${cloud.last_error}\n`)
  if (orphans > 0)
    process.stdout.write(`\n${orphans} volumes carry our metadata and are in no row: reconcile sees to them.\n`)
}

/** `spare-pool plan`: what the next replenish would do. */
export function planCommand(): Command {
  return new Command('plan')
    .description('show what the next replenish tick would do, and why; changes nothing')
    .addOption(configOption())
    .addOption(urlOption())
    .option('--json', 'the whole answer as JSON')
    .action(async (options: Options) => {
      const plan = (await callService(options, 'GET', '/pool/plan')) as { pools: PlanView[] }
      if (options.json) return printJson(plan)
      printTable(
        ['OS', 'TYPE', 'TARGET', 'HELD', 'IN FLIGHT', 'MISSING', 'CREATE', 'WHY'],
        plan.pools.map(one => [
          one.os,
          one.type,
          one.target,
          one.held,
          one.in_flight,
          one.missing,
          one.create,
          one.reason
        ])
      )
    })
}
