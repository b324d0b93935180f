import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder that `src` and `dist` lie in. The bundle has no folders of its own: only a file right below `src` may ask where it is. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../', import.meta.url))

export const packageVersion = (): string => {
  const text = readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
