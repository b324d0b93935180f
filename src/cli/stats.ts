import type { Command } from 'commander'
import type { StatsView } from '../http/schemas.ts'
import { printJson, printTable } from './output.ts'
import { type ClientOptions, callService, clientCommand, jsonOption } from './request.ts'

/** `spare-pool stats`: every pool at a glance. */
export const statsCommand = (): Command =>
  clientCommand('stats', 'show every pool at a glance')
    .option('--window <time>', 'count claims and times over this long, e.g. 1h, 7d', '24h')
    .addOption(jsonOption())
    .action(async ({ window, ...options }: ClientOptions & { window: string }) => {
      const path = `/pool/stats?window=${encodeURIComponent(window)}`
      const stats = (await callService(options, 'GET', path)) as StatsView
      if (options.json) printJson(stats)
      else printStats(stats)
    })

const TITLES = ['OS', 'TYPE', 'CONDITION', 'AVAILABLE', 'IN FLIGHT', 'TARGET', 'IMAGE', 'HITS', 'MISSES', 'LAST ERROR']

function printStats({ pools, cloud, orphans }: StatsView): void {
  const rows = pools.map(({ os, type, condition, spares, target, image, claims, last_error }) => {
    const newer = image?.newer_in_cinder ? ` (newer: ${image.newer_in_cinder})` : ''
    const inFlight = (spares['requested'] ?? 0) + (spares['creating'] ?? 0)
    const misses = Object.values(claims.misses).reduce((sum, count) => sum + count, 0)
    const version = image ? image.version + newer : '-'
    const available = spares['available'] ?? 0
    return [os, type, condition, available, inFlight, target, version, claims.hits, misses, last_error ?? '']
  })
  printTable(TITLES, rows)
  if (!cloud.reachable) process.stdout.write(`\nThe cloud cannot be reached: ${cloud.last_error}\n`)
  if (orphans > 0) {
    process.stdout.write(
      `\n${orphans} volumes carry our metadata and are in no row: reconcile adopts or deletes them.\n`
    )
  }
}
