import assert from 'node:assert/strict'
import { CloudError, type CloudErrorCode } from '../../src/pool/errors.ts'

/** How a call to the cloud failed; that it did is part of the test. */
export async function failureOf(promise: Promise<unknown>): Promise<CloudError> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof CloudError, `not a CloudError: ${String(error)}`)
    return error
  }
  throw new assert.AssertionError({ message: 'it did not fail' })
}

/** For `assert.rejects`. */
export const failing =
  (code: CloudErrorCode, words = /./, mayHaveActed = false) =>
  (error: unknown) => {
    assert.ok(error instanceof CloudError)
    assert.deepEqual([error.code, error.mayHaveActed], [code, mayHaveActed], error.message)
    assert.match(error.message, words)
    return true
  }
