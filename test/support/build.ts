/** Before all tests: `dist`, which tests of the command line run, made anew where sources are newer. `npm test` has made it. */
import { execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))

export default function build(): void {
  const sources = readdirSync(join(CHECKOUT, 'src'), { recursive: true, encoding: 'utf8' })
  const madeOf = ['build.mjs', ...sources.map(name => join('src', name))]
  const newest = Math.max(...madeOf.map(path => statSync(join(CHECKOUT, path)).mtimeMs))
  const built = statSync(join(CHECKOUT, 'dist/main.js'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (built >= newest) return
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: CHECKOUT, stdio: ['ignore', 'ignore', 'inherit'] })
}
