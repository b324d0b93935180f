export interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

/** What tests are to Vitest: all that the work starts is ended after it, the last first, and by Ctrl-C too. */
export async function withLifetime<T>(work: (t: Lifetime) => Promise<T>): Promise<T> {
  const ends: (() => Promise<void>)[] = []
  const end = async (): Promise<void> => {
    for (const finish of ends.splice(0).toReversed()) await finish()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void end().finally(() => process.exit(130)))
  }
  try {
    return await work({ onTestFinished: finish => void ends.push(finish) })
  } finally {
    await end()
  }
}

/** Ends what a part of the work starts as soon as that part is over, and with the whole at the latest. */
export async function withinLifetime<T>(t: Lifetime, work: (t: Lifetime) => Promise<T>): Promise<T> {
  const ends: (() => Promise<void>)[] = []
  const end = async (): Promise<void> => {
    for (const finish of ends.splice(0).toReversed()) await finish()
  }
  t.onTestFinished(end)
  try {
    return await work({ onTestFinished: finish => void ends.push(finish) })
  } finally {
    await end()
  }
}
