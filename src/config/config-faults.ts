import { isIP } from 'node:net'
import type { ErrorObject } from 'ajv'
import { validate as isCron } from 'node-cron'
import type { YAMLError } from 'yaml'
import type { Config } from './schema.ts'
import { HOSTNAME, MICROVERSION } from './schema.ts'

/** Everything that is wrong with a configuration, each with its path and what is allowed. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(source: string, problems: readonly string[]) {
    const distinct = [...new Set(problems.map(problem => problem.replace(/\.$/, '')))]
    super(`${source} cannot be used:\n${distinct.map(problem => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = distinct
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Where, and the rule broken; not the parser's own words, which quote the line: a password may stand there. */
export function explainYaml({ code, linePos }: YAMLError): string {
  const [start] = linePos ?? []
  const what =
    code === 'DUPLICATE_KEY'
      ? 'this key is there twice'
      : `is no YAML (${code}); quotes around a text with special characters often help`
  return `line ${start?.line ?? '?'}, column ${start?.col ?? '?'}: ${what}`
}

/** Where an error of the schema is: `pools[0].target`. */
export function pathOf({ instancePath }: ErrorObject, ...keys: string[]): string {
  const parts = [...instancePath.split('/').slice(1), ...keys]
  return parts
    .map(part => (/^\d+$/.test(part) ? `[${part}]` : `.${part.replace(/[^\w-].*$/s, '…')}`)) // A key may be half a password.
    .join('')
    .replace(/^\./, '')
}

/** What is wrong in words. `variables` names those keys that came from the environment. */
export function explain(error: ErrorObject, variables: ReadonlyMap<string, string>): string {
  const { keyword, params, parentSchema, message } = error
  if (keyword === 'additionalProperties') {
    const known = Object.keys(parentSchema?.['properties'] ?? {}).join(', ')
    return `${pathOf(error, String(params['additionalProperty']))}: unknown key; known here: ${known}`
  }
  if (keyword === 'required') return `${pathOf(error, String(params['missingProperty']))}: is missing`
  const path = pathOf(error) || 'the file'
  const variable = variables.get(path)
  const at = variable ? `${path} (from ${variable})` : path
  switch (keyword) {
    case 'enum':
      return `${at}: must be one of ${params['allowedValues'].join(', ')}`
    case 'type':
      return `${at}: must be ${TYPES[String(params['type'])] ?? `a ${params['type']}`}`
    case 'pattern':
      return `${at}: must be ${PATTERNS[String(params['pattern'])] ?? `a text that matches ${params['pattern']}`}`
    case 'minLength':
      return `${at}: must not be empty`
    case 'maxLength':
      return `${at}: must have at most ${params['limit']} characters`
    case 'minimum':
      return `${at}: must be ${params['limit']} or more`
    case 'maximum':
      return `${at}: must be ${params['limit']} or less`
    default:
      return `${at}: ${message}`
  }
}

const TYPES: Record<string, string> = {
  object: 'a mapping of keys',
  array: 'a list',
  integer: 'a whole number',
  boolean: 'true or false',
  string: 'a text; put quotes around it'
}

/** The same, of a problem found elsewhere that begins with its key. */
export function withVariable(problem: string, variables: ReadonlyMap<string, string>): string {
  const [path = ''] = problem.split(':', 1)
  const variable = variables.get(path)
  return variable ? problem.replace(path, `${path} (from ${variable})`) : problem
}

const PATTERNS: Record<string, string> = {
  [HOSTNAME]: 'a host name or address alone, such as pool.example: no scheme, port or path, and no wildcard',
  '^postgres(ql)?://': 'an address such as postgres://user:password@host/database',
  '^[0-9a-fA-F]{64}$': 'the SHA-256 of the token in hex (64 characters): printf %s "$TOKEN" | sha256sum',
  [MICROVERSION]: 'auto, or a microversion of Cinder such as 3.50',
  '^[a-zA-Z0-9_.-]{1,64}$': '1 to 64 letters, digits, "_", "." and "-"'
}

/** Whether the schema found nothing wrong at a path, above it or below it. */
export type IsSound = (path: string) => boolean

export function soundness(errors: readonly ErrorObject[]): IsSound {
  // What is unknown is no fault of what is beside it.
  const faulty = errors.filter(({ keyword }) => keyword !== 'additionalProperties').map(error => pathOf(error))
  const isWithin = (inner: string, outer: string): boolean =>
    outer === '' || inner === outer || (inner.startsWith(outer) && /[.[]/.test(inner.charAt(outer.length)))
  return path => !faulty.some(fault => isWithin(fault, path) || isWithin(path, fault))
}
type Rule = readonly [reads: readonly string[], find: (config: Config, isSound: IsSound) => string[]]

/** What a schema cannot say. Each rule looks at sound keys only, so that what is wrong elsewhere does not hide its faults. */
const RULES: readonly Rule[] = [
  [['database'], databaseProblems],
  [['images.snapshot_name'], snapshotNameProblems],
  [['claims.volume_name'], volumeNameProblems],
  [[], poolProblems],
  [['access.mode', 'server.host'], loopbackProblems],
  [['server.trusted_proxies'], proxyProblems],
  [['access.mode'], tokenProblems],
  ...(['replenish', 'check_state', 'reconcile'] as const).map(
    (name): Rule => [[`ticks.${name}`], ({ ticks }) => cronProblems(name, ticks[name])]
  )
]

export const inconsistencies = (config: Config, isSound: IsSound): string[] =>
  RULES.flatMap(([reads, find]) => (reads.every(isSound) ? find(config, isSound) : []))

function cronProblems(name: string, cron: string): string[] {
  if (cron.trim().split(/\s+/).length === 6 && isCron(cron)) return []
  return [`ticks.${name}: must be a cron expression of six fields, seconds first, e.g. "*/10 * * * * *"`]
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

/** Of a name: what no claim may bring into it either. */
const UNKEPT = /[^\u0020-\u007e\u00a0-\ud7ff\ue000-\uffff]/

function volumeNameProblems({ claims }: Config): string[] {
  const parts = [...claims.volume_name.matchAll(/\{([^{}]*)\}/g)].map(([, part = '']) => part)
  const unknown = parts.filter(part => !NAME_PARTS.includes(part))
  return [
    ...(unknown.length > 0
      ? [`claims.volume_name: unknown part {${unknown.join('}, {')}}; known: {${NAME_PARTS.join('}, {')}}`]
      : []),
    ...(UNKEPT.test(claims.volume_name)
      ? [
          "claims.volume_name: must have no control characters, and none beyond U+FFFF: Cinder's database may not keep them"
        ]
      : []),
    ...(parts.includes('hostname') ? [] : ['claims.volume_name: must contain {hostname}, or names would not differ'])
  ]
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

function proxyProblems({ server }: Config): string[] {
  const must =
    'must be an address or a network, such as 10.0.0.5, 10.0.0.0/24 or fd00::/64: no name, and not everybody (/0)'
  return server.trusted_proxies.flatMap((proxy, index) =>
    isNetwork(proxy) ? [] : [`server.trusted_proxies[${index}]: ${must}`]
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

/** The list, where it is one. */
const listed = <T>(value: readonly T[]): readonly T[] => (Array.isArray(value) ? value : [])
