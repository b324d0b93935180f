import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Has `src` and `dist`. The bundle is one folder, so that only a file right below `src` may ask where it is. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../', import.meta.url))

export const packageVersion = (): string => {
  const text = readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
