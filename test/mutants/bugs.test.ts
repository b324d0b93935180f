import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, it } from 'vitest'
import { applied, bugs } from './bugs.ts'

describe('a planted bug', () => {
  it('has a name of its own', () => {
    const names = bugs().map(({ name }) => name)
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      []
    )
  })

  it.for(bugs())('has its place in the sources: $name', ({ edits, caughtBy }) => {
    for (const edit of edits) {
      const text = readFileSync(edit.file, 'utf8')
      assert.notEqual(applied(edit, text), text)
    }
    for (const file of caughtBy) assert.ok(existsSync(file), file)
  })
})
