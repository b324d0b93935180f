import { readFileSync, statSync } from 'node:fs'
import { inHome } from './home.ts'

/** What a line of a password file is for. */
export interface Login {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** Why the file cannot be used; undefined: it can. */
export function passwordFileProblem(path: string): string | undefined {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) return `passfile is no file: ${path}`
    if ((stats.mode & 0o077) !== 0) return `passfile may be read by others, so it is not used: chmod 600 ${path}`
    readFileSync(path)
    return undefined
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no file'
    return `passfile cannot be read: ${path} (${code})`
  }
}

/** The password in the first line that fits: `host:port:database:user:password`, each of the first four may be `*`. */
export function passwordIn(named: string | undefined, { host, port, database, user }: Login): string | undefined {
  const path = named ?? inHome('.pgpass')
  if (path === undefined || passwordFileProblem(path) !== undefined) return undefined
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, user]
  for (const line of readFileSync(path, 'utf8').split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map(([, field = '']) =>
      field.replaceAll(/\\(.)/g, '$1')
    )
    if (fields.length >= 5 && wanted.every((value, index) => fields[index] === '*' || fields[index] === value)) {
      return fields[4]
    }
  }
  return undefined
}
