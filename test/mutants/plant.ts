import type { Mutant } from './mutants.ts'

/** A source with its bug in it. Throws where the place is not there, or not there alone: the list must follow the code. */
export function planted(source: string, { find, replace }: Pick<Mutant, 'find' | 'replace'>): string {
  const [before, after, ...more] = source.split(find)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`this stands there ${more.length > 0 ? 'more than once' : 'no more'}:\n${find}`)
  }
  return before + replace + after
}
