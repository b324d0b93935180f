import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'

/** Settings from one place, and how that place calls each of them. */
export interface Layer {
  readonly values: Readonly<Record<string, unknown>>
  readonly nameOf: (key: string) => string
}

export type Environment = Readonly<Record<string, string | undefined>>

export interface Files {
  /** Undefined: there is no such file. */
  read(path: string): string | undefined
  readonly home: string
}

export const realFiles: Files = {
  home: homedir(),
  read(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
        return undefined
      throw error
    }
  }
}

/** The entry of clouds.yaml, and what secure.yaml lays over it. What is wrong is added to the problems. */
export function cloudLayers(name: string, env: Environment, files: Files, problems: string[]): Layer[] {
  const { OS_CLOUD, OS_CLIENT_CONFIG_FILE, OS_CLIENT_SECURE_FILE } = env
  const asked = OS_CLOUD ? 'OS_CLOUD' : 'openstack.cloud'
  const places = placesOf('clouds', OS_CLIENT_CONFIG_FILE, files)
  const found = firstOf(places, files, problems)
  if (!found) {
    problems.push(`${asked}: found no clouds.yaml; looked for ${places.join(', ')}. Write one, or set openstack.auth.`)
    return []
  }
  const entry = entryOf(found, name)
  if (!entry) {
    const names = Object.keys(objectAt(found.content, 'clouds') ?? {}).join(', ') || 'no clouds at all'
    problems.push(`${asked}: there is no cloud "${name}" in ${found.path}; it has ${names}.`)
    return []
  }
  for (const key of ['profile', 'cloud'].filter(key => entry.values[key] !== undefined)) {
    const what = 'vendor profiles are not supported; write the auth_url and the other settings of the profile out'
    problems.push(`${entry.nameOf(key)}: ${what}.`)
  }
  const secure = firstOf(placesOf('secure', OS_CLIENT_SECURE_FILE, files), files, problems)
  const secrets = secure && entryOf(secure, name)
  return secrets ? [entry, secrets] : [entry]
}

interface Found {
  readonly path: string
  readonly content: unknown
}

function placesOf(name: string, chosen: string | undefined, files: Files): string[] {
  const folders = ['.', join(files.home, '.config', 'openstack'), '/etc/openstack']
  const usual = folders.flatMap(folder => ['yaml', 'yml'].map(end => join(folder, `${name}.${end}`)))
  return chosen ? [chosen, ...usual] : usual
}

function firstOf(places: readonly string[], files: Files, problems: string[]): Found | undefined {
  for (const path of places) {
    try {
      const text = files.read(path)
      if (text !== undefined) return { path, content: parseYaml(text) }
    } catch (error) {
      problems.push(`${path}: cannot be read, ${error instanceof Error ? error.message : String(error)}.`)
      return { path, content: {} }
    }
  }
  return undefined
}

/** The parser's own messages show the lines around the mistake, and with them passwords. */
function parseYaml(text: string): unknown {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'silent', lineCounter })
  const [error] = document.errors
  if (error) throw new Error(`it is not valid YAML (${error.code} in line ${lineCounter.linePos(error.pos[0]).line})`)
  return document.toJS()
}

function entryOf({ path, content }: Found, name: string): Layer | undefined {
  const clouds = objectAt(content, 'clouds')
  const entry = clouds && objectAt(clouds, name)
  if (!entry) return undefined
  const auth = objectAt(entry, 'auth') ?? {}
  return {
    values: { ...entry, ...auth },
    nameOf: key => `clouds.${name}.${key in auth ? 'auth.' : ''}${key} in ${path}`
  }
}

function objectAt(value: unknown, key: string): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  const inner = Object.entries(value).find(([name]) => name === key)?.[1]
  return typeof inner === 'object' && inner !== null ? { ...inner } : undefined
}
