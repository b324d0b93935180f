import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseFor } from './python-yaml.ts'

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

/** A file's path as a setting has it. */
export const expanded = (path: string, files: Files): string =>
  path.startsWith('~/') ? join(files.home, path.slice(2)) : path

export type Section = Readonly<Record<string, unknown>>

/** One file that was found; a broken one has no content. */
export interface ClientFile {
  readonly path: string
  readonly content: Section
}

export interface Look {
  readonly env: Environment
  readonly files: Files
  /** What is wrong. */
  readonly problems: string[]
  /** What may help to understand a problem. */
  readonly hints: string[]
}

/** The file that OS_CLIENT_CONFIG_FILE or OS_CLIENT_SECURE_FILE names, else the first in the places where clients look. */
export function findFile(name: 'clouds' | 'secure' | 'clouds-public', look: Look): ClientFile | undefined {
  for (const path of placesOf(name, look)) {
    const text = readable(path, look)
    if (text === undefined) continue
    try {
      const content = parseFor(path, text) ?? {}
      if (isSection(content)) return { path, content }
      look.problems.push(`${path}: must be a mapping of keys.`)
    } catch (error) {
      look.problems.push(`${path}: cannot be read, ${messageOf(error)}.`)
    }
    return { path, content: {} }
  }
  return undefined
}

/** A file that may not be read is passed over, as the clients do. */
function readable(path: string, { files, hints }: Look): string | undefined {
  try {
    return files.read(path)
  } catch (error) {
    hints.push(`${path}: was passed over, it cannot be read (${messageOf(error)}).`)
    return undefined
  }
}

/** The file that a variable names is looked for first. */
function placesOf(name: string, { env, files }: Look): string[] {
  const chosen = { clouds: env['OS_CLIENT_CONFIG_FILE'], secure: env['OS_CLIENT_SECURE_FILE'] }[name]
  const usual = foldersOf(env, files).flatMap(folder =>
    ['yaml', 'yml', 'json'].map(end => join(folder, `${name}.${end}`))
  )
  return chosen ? [chosen, ...usual] : usual
}

export function foldersOf({ XDG_CONFIG_HOME, XDG_CONFIG_DIRS }: Environment, { home }: Files): string[] {
  const own = join(home, '.config')
  const shared = (XDG_CONFIG_DIRS ?? '/etc/xdg').split(':').filter(folder => folder !== '')
  const folders = [XDG_CONFIG_HOME || own, own, ...shared].map(folder => join(folder, 'openstack'))
  return [...new Set(['.', ...folders, '/etc/openstack'])]
}

export const isSection = (value: unknown): value is Section =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The mapping under a key; undefined: there is none. */
export function sectionAt(section: Section, key: string): Section | undefined {
  const inner = Object.hasOwn(section, key) ? section[key] : undefined
  return isSection(inner) ? inner : undefined
}

/** `auth-url` is `auth_url`. */
export const withUnderscores = (section: Section): Section =>
  Object.fromEntries(Object.entries(section).map(([key, value]) => [key.replaceAll('-', '_'), value]))

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
