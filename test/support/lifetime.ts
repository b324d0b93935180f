import { afterAll } from 'vitest'

/** Of all tests of a file or a `describe`: for a service that is made once in `beforeAll`, and that its tests share. */
export function whileTestsRun(): { onTestFinished(finish: () => Promise<void>): void } {
  const ends: (() => Promise<void>)[] = []
  afterAll(async () => {
    for (const end of ends.toReversed()) await end()
  })
  return { onTestFinished: end => void ends.push(end) }
}
