import { readFileSync } from 'node:fs'

/** Of package.json, which lies beside src and dist alike. */
export const packageVersion = (): string => {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
