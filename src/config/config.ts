import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'
import { isScalar, parseDocument } from 'yaml'
import { ConfigError, explain, explainYaml, type IsSound, soundness, withVariable } from './config-faults.ts'
import { inconsistencies } from './config-rules.ts'
import { type Config, ConfigSchema, FORMATS } from './schema.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Finds what is wrong beyond the file itself, such as an incomplete login. It may look at sound sections only. */
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
  const validate = validator()
  validate(config)
  const errors = validate.errors ?? []
  const isSound = soundness(errors)
  const filled = config as Config // Where it is something else, it is not sound, and not looked at.
  const problems = [...errors.map(explain), ...inconsistencies(filled, isSound), ...(further?.(filled, isSound) ?? [])]
  if (problems.length > 0) {
    throw new ConfigError(
      source,
      problems.map(problem => withVariable(problem, fromEnvironment))
    )
  }
  for (const pool of filled.pools) pool.type = pool.type.toLowerCase()
  return filled
}

let compiled: ValidateFunction<Config> | undefined

/** Compiled when first needed, which takes a while. */
function validator(): ValidateFunction<Config> {
  const options = { allErrors: true, useDefaults: true, strictTypes: false, verbose: true, formats: FORMATS }
  compiled ??= new Ajv(options).compile(ConfigSchema)
  return compiled
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A key with nothing after it says nothing: the default holds. */
function withoutNulls(document: Record<string, unknown>): Record<string, unknown> {
  const said = Object.entries(document).filter(([, value]) => value !== null)
  return Object.fromEntries(
    said.map(([key, value]) => [key, isRecord(value) ? withoutNulls(value) : structuredClone(value)])
  )
}

/** Those that beat the file. The OS_* variables are read with clouds.yaml, which they belong to. */
const VARIABLES = [
  ['DATABASE_URL', 'database', 'url'],
  ['PORT', 'server', 'port'],
  ['HOST', 'server', 'host'],
  ['LOG_LEVEL', 'log', 'level']
] as const

/** Puts in what variables say; gives their names by the keys that they set. */
function applyEnvironment(config: Record<string, unknown>, env: Environment): Map<string, string> {
  const names = new Map<string, string>()
  for (const [variable, section, key] of VARIABLES) {
    const value = env[variable]
    const before = config[section] ?? {}
    if (!value || !isRecord(before)) continue
    const beside = section === 'database' ? {} : before // An address replaces an embedded database.
    config[section] = { ...beside, [key]: key === 'port' && /^\d+$/.test(value) ? Number(value) : value }
    names.set(`${section}.${key}`, variable)
  }
  return names
}
