import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Reads the file that a parameter names, else libpq's own place for it, if there is such a file. */
export function readFile(parameter: string, named: string | undefined, ...usual: string[]): string | undefined {
  const path = named ?? inHome(usual)
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no file'
    throw new Error(`${parameter} cannot be read: ${path} (${code})`, { cause: error })
  }
}

function inHome(usual: readonly string[]): string | undefined {
  try {
    const path = join(homedir(), ...usual)
    return existsSync(path) ? path : undefined
  } catch {
    return undefined // A container's user may have no home.
  }
}

export function readPasswordFile(named: string | undefined): string {
  const path = named ?? inHome(['.pgpass'])
  const text = readFile('passfile', path)
  if (path === undefined || text === undefined) return ''
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new Error(`passfile may be read by others, so it is not used: chmod 600 ${path}`)
  }
  return text
}

/** What a line of a password file is for. */
interface Login {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** The password in the first line that fits: `host:port:database:user:password`, each of the first four may be `*`. */
export function passwordIn(path: string | undefined, { host, port, database, user }: Login): string {
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, user]
  const fits = (fields: readonly string[]): boolean =>
    fields.length >= 5 && wanted.every((value, index) => ['*', value].includes(fields[index] ?? ''))
  try {
    return (
      readPasswordFile(path)
        .split(/\r?\n/)
        .filter(line => !line.startsWith('#'))
        .map(line =>
          [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map(([, field = '']) => field.replaceAll(/\\(.)/g, '$1'))
        )
        .find(fits)?.[4] ?? ''
    )
  } catch {
    return '' // The server refuses us then.
  }
}
