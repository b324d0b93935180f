import { isIP } from 'node:net'
import { validate as isCron } from 'node-cron'
import type { IsSound } from './config-faults.ts'
import type { Config } from './schema.ts'

type Rule = readonly [reads: readonly string[], find: (config: Config, isSound: IsSound) => string[]]

/** What a schema cannot say. A rule runs where the keys that it reads are sound, so that other faults do not hide its own. */
const RULES: readonly Rule[] = [
  [['database'], databaseProblems],
  [['images.snapshot_name'], snapshotNameProblems],
  [['claims.volume_name'], volumeNameProblems],
  [[], poolProblems],
  [['access.mode', 'server.host'], loopbackProblems],
  [['server.trusted_proxies'], proxyProblems],
  [['access.mode'], tokenProblems],
  [[], cronProblems]
]

export const inconsistencies = (config: Config, isSound: IsSound): string[] =>
  RULES.flatMap(([reads, find]) => (reads.every(isSound) ? find(config, isSound) : []))

function cronProblems({ ticks }: Config, isSound: IsSound): string[] {
  const isSixFields = (cron: string): boolean => cron.trim().split(/\s+/).length === 6 && isCron(cron)
  return (['replenish', 'check_state', 'reconcile'] as const)
    .filter(name => isSound(`ticks.${name}`) && !isSixFields(ticks[name]))
    .map(name => `ticks.${name}: must be a cron expression of six fields, seconds first, e.g. "*/10 * * * * *"`)
}

function databaseProblems({ database: { url, embedded } }: Config): string[] {
  if (url && embedded) return ['database: give url or embedded, not both']
  if (!url && !embedded) return ['database: is missing: give url (postgres://…), or embedded: { data_dir: ./data }']
  return []
}

const NAME_PARTS = ['hostname', 'category', 'os', 'type']

function snapshotNameProblems({ images }: Config): string[] {
  try {
    const rule = new RegExp(images.snapshot_name)
    const missing = ['os', 'type', 'version'].filter(group => !rule.source.includes(`(?<${group}>`))
    return missing.length > 0 ? [`images.snapshot_name: must have the named groups ${missing.join(', ')}`] : []
  } catch (error) {
    return [`images.snapshot_name: is no regular expression: ${String(error)}`]
  }
}

/** No claim may bring these into a name either. */
const UNKEPT = /[^\u0020-\u007e\u00a0-\ud7ff\ue000-\uffff]/

function volumeNameProblems({ claims }: Config): string[] {
  const parts = [...claims.volume_name.matchAll(/\{([^{}]*)\}/g)].map(([, part = '']) => part)
  const unknown = parts.filter(part => !NAME_PARTS.includes(part))
  const problems = [
    unknown.length > 0 && `unknown part {${unknown.join('}, {')}}; known: {${NAME_PARTS.join('}, {')}}`,
    UNKEPT.test(claims.volume_name) &&
      "must have no control characters, and none beyond U+FFFF: Cinder's database may not keep them",
    !parts.includes('hostname') && 'must contain {hostname}, or names would not differ'
  ]
  return problems.filter(Boolean).map(problem => `claims.volume_name: ${problem}`)
}

function poolProblems({ pools }: Config, isSound: IsSound): string[] {
  const names = listed(pools).map((pool, index) =>
    isSound(`pools[${index}].os`) && isSound(`pools[${index}].type`)
      ? `${pool.os} on ${pool.type.toLowerCase()}`
      : index
  )
  return names.flatMap((name, index) =>
    names.indexOf(name) < index ? [`pools[${index}]: ${name} is there twice (pools[${names.indexOf(name)}])`] : []
  )
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/
export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

function loopbackProblems({ access, server }: Config): string[] {
  if (access.mode !== 'none' || isLoopback(server.host)) return []
  return [`access.mode: "none" is for a loopback server.host only, not ${server.host}; use keystone or token`]
}

const NETWORK = 'an address or a network, such as 10.0.0.5, 10.0.0.0/24 or fd00::/64: no name, and not everybody (/0)'

function proxyProblems({ server }: Config): string[] {
  return server.trusted_proxies.flatMap((proxy, index) =>
    isNetwork(proxy) ? [] : [`server.trusted_proxies[${index}]: must be ${NETWORK}`]
  )
}

function isNetwork(text: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/([1-9]\d{0,2}))?$/.exec(text) ?? []
  const kind = isIP(address)
  return kind !== 0 && Number(bits ?? 1) <= (kind === 4 ? 32 : 128)
}

function tokenProblems({ access }: Config, isSound: IsSound): string[] {
  const tokens = listed(access.tokens)
  if (access.mode === 'token' && tokens.length === 0 && isSound('access.tokens')) {
    return ['access.tokens: is empty, so with mode "token" nobody would get in']
  }
  return tokens.flatMap((token, index) =>
    isSound(`access.tokens[${index}].role`) && token.role === 'claimer' && !token.project_id
      ? [`access.tokens[${index}].project_id: is missing; role claimer claims into one project`]
      : []
  )
}

/** Nothing, where a faulty file has something else in place of a list. */
const listed = <T>(value: readonly T[]): readonly T[] => (Array.isArray(value) ? value : [])
