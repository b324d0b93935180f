import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from './failures.ts'
import { isObject } from './fields.ts'
import { parseFor } from './python-yaml.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Files {
  readonly home: string
  /** Undefined: there is no such file. */
  read(path: string): string | undefined
}

export const realFiles: Files = {
  home: homedir(),
  read(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      if (/^(ENOENT|ENOTDIR)\b/.test(messageOf(error))) return undefined
      throw error
    }
  }
}

export type Section = Readonly<Record<string, unknown>>

/** A file that was found. A broken one has no content. */
export interface ClientFile {
  readonly path: string
  readonly content: Section
}

/** Where to look, and what is found to be wrong. */
export interface Look {
  readonly env: Environment
  readonly files: Files
  readonly problems: string[]
  /** What may help to understand a problem. */
  readonly hints: string[]
}

const CHOSEN_BY = { clouds: 'OS_CLIENT_CONFIG_FILE', secure: 'OS_CLIENT_SECURE_FILE', 'clouds-public': undefined }

/** The file that a variable names, else the first in the places where clients look. */
export function findFile(name: keyof typeof CHOSEN_BY, look: Look): ClientFile | undefined {
  const { env, files, problems, hints } = look
  const chosen = CHOSEN_BY[name] && env[CHOSEN_BY[name]]
  const usual = foldersOf(look).flatMap(folder => ['yaml', 'yml', 'json'].map(end => join(folder, `${name}.${end}`)))
  for (const path of chosen ? [chosen, ...usual] : usual) {
    let text: string | undefined
    try {
      text = files.read(path)
    } catch (error) {
      hints.push(`${path}: was passed over, it cannot be read (${messageOf(error)}).`) // As the clients do.
    }
    if (text === undefined) continue
    try {
      const content = parseFor(path, text) ?? {}
      if (isObject(content)) return { path, content }
      problems.push(`${path}: must be a mapping of keys.`)
    } catch (error) {
      problems.push(`${path}: cannot be read, ${messageOf(error)}.`)
    }
    return { path, content: {} }
  }
  return undefined
}

export function foldersOf({ env, files: { home } }: Look): string[] {
  const { XDG_CONFIG_HOME, XDG_CONFIG_DIRS = '/etc/xdg' } = env
  const own = join(home, '.config')
  const shared = XDG_CONFIG_DIRS.split(':').filter(folder => folder !== '')
  const folders = [XDG_CONFIG_HOME || own, own, ...shared].map(folder => join(folder, 'openstack'))
  return [...new Set(['.', ...folders, '/etc/openstack'])]
}

/** The mapping under a key; undefined: there is none. */
export function sectionAt(section: Section, key: string): Section | undefined {
  const inner = Object.hasOwn(section, key) ? section[key] : undefined
  return isObject(inner) ? inner : undefined
}
