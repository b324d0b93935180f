import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'
import { isScalar, parseDocument } from 'yaml'
import {
  ConfigError,
  explain,
  explainYaml,
  type IsSound,
  inconsistencies,
  isRecord,
  soundness,
  withVariable
} from './config-faults.ts'
import { type Config, ConfigSchema } from './schema.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Finds what is wrong beyond the file itself, such as a login that is incomplete; may look only at sections that are sound. */
type FurtherCheck = (config: Config, isSound: IsSound) => readonly string[]

/** Reads a YAML file; environment variables beat it. Throws a ConfigError that names all that is wrong at once. */
export function readConfig(file: string, env: Environment, further?: FurtherCheck): Config {
  return parseConfig(readYaml(file), env, file, further)
}

function readYaml(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(file, [error instanceof Error ? error.message : String(error)])
  }
  const document = parseDocument(text, { prettyErrors: true })
  const problems = [...document.errors, ...document.warnings].map(explainYaml)
  if (problems.length > 0) throw new ConfigError(file, problems)
  keepVersionAsText(document)
  try {
    return document.toJS() ?? {}
  } catch {
    throw new ConfigError(file, [
      'is no YAML: an alias (*name) leads nowhere; put quotes around a text that starts with *'
    ])
  }
}

/** Without quotes, YAML takes 3.50 for the number 3.5, which is another microversion. */
function keepVersionAsText(document: ReturnType<typeof parseDocument>): void {
  const path = ['openstack', 'volume_api_version']
  const version = document.getIn(path, true)
  if (isScalar(version) && typeof version.value === 'number') document.setIn(path, version.source)
}

/** Checks a configuration whole and fills in the defaults; the source is named in errors. */
export function parseConfig(document: unknown, env: Environment, source: string, further?: FurtherCheck): Config {
  if (!isRecord(document)) throw new ConfigError(source, ['must be a mapping of keys, as in config.example.yaml'])
  const config = withoutNulls(document)
  const fromEnvironment = applyEnvironment(config, env)
  const later = refuseHitRates(config)
  const validate = validator()
  const isWhole = validate(config)
  const errors = validate.errors ?? []
  const isSound = soundness(errors)
  const filled = config as Config // What is not so is faulty, and not looked at.
  const problems = [
    ...errors.map(error => explain(error, fromEnvironment)),
    ...inconsistencies(filled, isSound),
    ...later,
    ...(further?.(filled, isSound) ?? []).map(problem => withVariable(problem, fromEnvironment))
  ]
  if (problems.length > 0 || !isWhole) throw new ConfigError(source, problems)
  for (const pool of filled.pools) pool.type = pool.type.toLowerCase()
  return filled
}

let compiled: ValidateFunction<Config> | undefined

/** Compiled when first needed, which takes a while. */
const validator = (): ValidateFunction<Config> => {
  compiled ??= new Ajv({ allErrors: true, useDefaults: true, strictTypes: false, verbose: true }).compile(ConfigSchema)
  return compiled
}

/** A key with nothing after it says nothing: the default holds. */
function withoutNulls(document: Record<string, unknown>): Record<string, unknown> {
  const said = Object.entries(document).filter(([, value]) => value !== null)
  return Object.fromEntries(
    said.map(([key, value]) => [key, isRecord(value) ? withoutNulls(value) : structuredClone(value)])
  )
}

/**
 * Puts in what variables say, and gives their names by the keys that they set. The OS_* variables are read with
 * clouds.yaml, which they belong to.
 */
function applyEnvironment(config: Record<string, unknown>, env: Environment): Map<string, string> {
  const names = new Map<string, string>()
  const set = (variable: string, section: string, key: string, replace = false): void => {
    const value = env[variable]
    const before = config[section] ?? {}
    if (!value || !isRecord(before)) return
    const said = key === 'port' && /^\d+$/.test(value) ? Number(value) : value
    config[section] = { ...(replace ? {} : before), [key]: said }
    names.set(`${section}.${key}`, variable)
  }
  set('DATABASE_URL', 'database', 'url', true)
  set('PORT', 'server', 'port')
  set('HOST', 'server', 'host')
  set('LOG_LEVEL', 'log', 'level')
  return names
}

/** Part of the contract, and not there yet. The rest of the file is checked all the same. */
function refuseHitRates(config: Record<string, unknown>): string[] {
  const { pools } = config
  if (!Array.isArray(pools)) return []
  return pools.flatMap((pool: unknown, index) => {
    if (!isRecord(pool) || !isRecord(pool['target'])) return []
    pool['target'] = 0
    return [`pools[${index}].target: targets by hit rate are not available in this version; give a whole number`]
  })
}
