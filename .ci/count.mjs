/**
 * Adds up vitest's own counts, from the JSON reports of several runs, and names once more what failed in them. A report that is
 * missing is a failure.
 */
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'

const sum = { passed: 0, failed: 0, skipped: 0 }
for (const path of process.argv.slice(2)) {
  const report = readReport(path)
  sum.passed += report.numPassedTests
  sum.failed += report.numFailedTests || Number(!report.success) // A file that cannot be loaded has no tests to count.
  sum.skipped += report.numPendingTests + report.numTodoTests
  for (const file of report.testResults) nameFailures(file)
}
console.log(`\n${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`)
process.exitCode = sum.failed > 0 || sum.skipped > 0 ? 1 : 0

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    console.log(`No report of a run: ${error.message}`)
    return {
      numPassedTests: 0,
      numFailedTests: 1,
      numPendingTests: 0,
      numTodoTests: 0,
      success: false,
      testResults: []
    }
  }
}

function nameFailures({ name, message, status, assertionResults }) {
  const failed = assertionResults.filter(test => test.status === 'failed')
  const file = relative(process.cwd(), name)
  for (const { fullName, failureMessages } of failed)
    console.log(`FAILED ${file}: ${fullName}\n${failureMessages.join('\n')}`)
  if (status === 'failed' && failed.length === 0) console.log(`FAILED ${file}: ${message}`)
}
