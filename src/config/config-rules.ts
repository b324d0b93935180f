import type { IsSound } from './config-faults.ts'
import type { Config } from './schema.ts'

/** What a schema cannot say. A rule runs where the keys that it reads are sound, so that other faults do not hide its own. */
export function* inconsistencies(config: Config, isSound: IsSound): Generator<string> {
  if (isSound('database')) yield* databaseProblems(config.database)
  if (isSound('images.snapshot_name')) yield* snapshotNameProblems(config.images.snapshot_name)
  if (isSound('claims.volume_name')) yield* volumeNameProblems(config.claims.volume_name)
  yield* poolProblems(config, isSound)
  if (isSound('access.mode') && isSound('server.host')) yield* loopbackProblems(config)
  if (isSound('access.mode')) yield* tokenProblems(config, isSound)
}

function* databaseProblems({ url, embedded }: Config['database']): Generator<string> {
  if (url && embedded) yield 'database: give url or embedded, not both'
  if (!url && !embedded) yield 'database: is missing: give url (postgres://…), or embedded: { data_dir: ./data }'
}

function* snapshotNameProblems(rule: string): Generator<string> {
  try {
    const { source } = new RegExp(rule)
    const missing = ['os', 'type', 'version'].filter(group => !source.includes(`(?<${group}>`))
    if (missing.length > 0) yield `images.snapshot_name: must have the named groups ${missing.join(', ')}`
  } catch (error) {
    yield `images.snapshot_name: is no regular expression: ${String(error)}`
  }
}

const NAME_PARTS = ['hostname', 'category', 'os', 'type']
/** No claim may bring these into a name either. */
const UNKEPT = /[^\u0020-\u007e\u00a0-\ud7ff\ue000-\uffff]/

function* volumeNameProblems(name: string): Generator<string> {
  const parts = [...name.matchAll(/\{([^{}]*)\}/g)].map(([, part = '']) => part)
  const unknown = parts.filter(part => !NAME_PARTS.includes(part))
  if (unknown.length > 0) {
    yield `claims.volume_name: unknown part {${unknown.join('}, {')}}; known: {${NAME_PARTS.join('}, {')}}`
  }
  if (UNKEPT.test(name)) {
    const kept = "Cinder's database may not keep them"
    yield `claims.volume_name: must have no control characters, and none beyond U+FFFF: ${kept}`
  }
  if (!parts.includes('hostname')) yield 'claims.volume_name: must contain {hostname}, or names would not differ'
}

function* poolProblems({ pools }: Config, isSound: IsSound): Generator<string> {
  const first = new Map<string, number>()
  for (const [index, pool] of listed(pools).entries()) {
    if (!isSound(`pools[${index}].os`) || !isSound(`pools[${index}].type`)) continue
    const name = `${pool.os} on ${pool.type.toLowerCase()}`
    if (first.has(name)) yield `pools[${index}]: ${name} is there twice (pools[${first.get(name)}])`
    else first.set(name, index)
  }
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/
export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

function* loopbackProblems({ access: { mode }, server: { host } }: Config): Generator<string> {
  if (mode !== 'none' || isLoopback(host)) return
  yield `access.mode: "none" is for a loopback server.host only, not ${host}; use keystone or token`
}

function* tokenProblems({ access }: Config, isSound: IsSound): Generator<string> {
  const tokens = listed(access.tokens)
  if (access.mode === 'token' && tokens.length === 0 && isSound('access.tokens')) {
    yield 'access.tokens: is empty, so with mode "token" nobody would get in'
  }
  for (const [index, token] of tokens.entries()) {
    if (!isSound(`access.tokens[${index}].role`) || token.role !== 'claimer' || token.project_id) continue
    yield `access.tokens[${index}].project_id: is missing; role claimer claims into one project`
  }
}

/** Nothing, where a faulty file has something else in place of a list. */
const listed = <T>(value: readonly T[]): readonly T[] => (Array.isArray(value) ? value : [])
