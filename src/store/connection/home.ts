import { homedir } from 'node:os'
import { join } from 'node:path'

/** A file of the user that the service runs as; undefined: it has no home, as in some containers. */
export function inHome(...path: readonly string[]): string | undefined {
  try {
    return join(homedir(), ...path)
  } catch {
    return undefined
  }
}
