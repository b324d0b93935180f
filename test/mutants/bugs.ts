import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const BUGS = fileURLToPath(new URL('bugs', import.meta.url))

/** A bug that somebody might well plant: a patch to the sources, with its name and who notices it above. */
export interface Bug {
  readonly name: string
  readonly patch: string
  /** Test files, in at least one of which a test must fail. */
  readonly caughtBy: readonly string[]
}

export const bugs = (): Bug[] => readdirSync(BUGS).toSorted().map(toBug)

function toBug(file: string): Bug {
  const patch = `${BUGS}/${file}`
  const [name = '', caughtBy = ''] = readFileSync(patch, 'utf8').split('\n')
  return { name, patch, caughtBy: caughtBy.replace('Caught by: ', '').split(' ') }
}

/** Throws, with git's words, where the code has changed so much that the bug has no place any more: make it anew. */
export const plant = (bug: Bug, folder: string, how: readonly string[] = []): Buffer =>
  execFileSync('git', ['apply', ...how, bug.patch], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
