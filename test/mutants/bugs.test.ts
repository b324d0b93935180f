import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, it } from 'vitest'
import { bugs, plant } from './bugs.ts'

describe('a planted bug', () => {
  it.for(bugs())('has its place in the sources: $name', bug => {
    plant(bug, process.cwd(), ['--check'])
    for (const file of bug.caughtBy) assert.ok(existsSync(file), file)
  })
})
