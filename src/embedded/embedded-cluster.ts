import { existsSync } from 'node:fs'
import { chown, type FileHandle, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Identity, prepareBinaries, runProgram } from './embedded-binaries.ts'

/** PostgreSQL's data, and what it takes to start a server on it. */
export interface Cluster {
  readonly binDir: string
  /** The data's folder, as the server names it. */
  readonly path: string
  /** The same folder held open, to be the server's file 3. */
  readonly folder: FileHandle
  /** Undefined: our own user. */
  readonly identity: Identity | undefined
}

/** Finds the cluster of a data directory, or makes it. */
export async function openCluster(dataDir: string, runDir: string): Promise<Cluster> {
  const folderPath = join(dataDir, 'postgres')
  const identity = await chooseIdentity(folderPath)
  if (identity) await chown(runDir, identity.uid, identity.gid)
  const binDir = await prepareBinaries(runDir, identity)
  if (!existsSync(folderPath)) await makeCluster(dataDir, folderPath, binDir, identity)
  return { binDir, identity, ...(await openFolder(folderPath, identity)) }
}

/** Root cannot run PostgreSQL: the owner of the data does, else user `postgres`, or `nobody`, whom every system has. */
async function chooseIdentity(folderPath: string): Promise<Identity | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const data = await stat(folderPath).catch(() => undefined) // There are no data yet, or else opening them fails and says why.
  if (data && data.uid !== 0) return { uid: data.uid, gid: data.gid }
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map(line => line.split(':'))
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (!user) {
    throw new Error('Root cannot run the embedded PostgreSQL without a user `postgres` or `nobody`: use another user.')
  }
  return { uid: Number(user[2]), gid: Number(user[3]) }
}

/** Makes the cluster aside and moves it into place, so that a process killed midway, or a rival, leaves no half of it. */
async function makeCluster(dataDir: string, folderPath: string, binDir: string, identity?: Identity): Promise<void> {
  await removeRemains(dataDir)
  const draft = await mkdtemp(join(dataDir, `postgres.init-${process.pid}-`))
  if (identity) await chown(draft, identity.uid, identity.gid)
  const { path, folder } = await openFolder(draft, identity)
  try {
    const options = ['--encoding=UTF8', '--locale-provider=builtin', '--locale=C.UTF-8', '--username=postgres']
    const args = ['-D', path, '-A', 'trust', '--no-sync', '--no-instructions', ...options]
    const { code, output } = await runProgram(join(binDir, 'initdb'), args, identity, folder.fd)
    if (code !== 0) {
      const advice = 'If it cannot run here, set database.url to a PostgreSQL of your own.'
      throw new Error(`The embedded PostgreSQL could not make its data in ${dataDir}:\n${output.trim()}\n${advice}`)
    }
    await rename(draft, folderPath)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!existsSync(folderPath)) throw error // Else a rival was faster, and its cluster is as good.
  } finally {
    await folder.close()
  }
}

/** Drafts of processes that were killed. */
async function removeRemains(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const pid = /^postgres\.init-(\d+)-/.exec(name)?.[1]
    if (pid && !isAlive(Number(pid))) await rm(join(dataDir, name), { recursive: true, force: true })
  }
}

/** Root's folders are often closed to the server's user. Linux follows `/proc/self/fd/3` past them, to what we have opened. */
async function openFolder(path: string, identity: Identity | undefined): Promise<{ path: string; folder: FileHandle }> {
  const folder = await open(path, 'r')
  return { path: identity && process.platform === 'linux' ? '/proc/self/fd/3' : path, folder }
}

/** Whether a process runs, ours or another user's. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
