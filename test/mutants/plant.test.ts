import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { MUTANTS } from './mutants.ts'
import { planted } from './plant.ts'

describe('a planted bug', () => {
  it.for(MUTANTS)('has its place in the sources: $name', ({ file, caughtBy, ...change }) => {
    const source = readFileSync(file, 'utf8')
    expect(planted(source, change)).not.toBe(source)
    for (const test of caughtBy) expect(existsSync(test), test).toBe(true)
  })
})
