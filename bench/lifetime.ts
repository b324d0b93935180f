export interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

/** What tests are to Vitest: all that the work starts is ended after it, the last first, and by Ctrl-C too. */
export async function withLifetime<T>(work: (t: Lifetime) => Promise<T>): Promise<T> {
  const { t, end } = newLifetime()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void end().finally(() => process.exit(130)))
  }
  try {
    return await work(t)
  } finally {
    await end()
  }
}

/** Ends what a part of the work starts as soon as that part is over, and with the whole at the latest. */
export async function withinLifetime<T>(whole: Lifetime, work: (t: Lifetime) => Promise<T>): Promise<T> {
  const { t, end } = newLifetime()
  whole.onTestFinished(end)
  try {
    return await work(t)
  } finally {
    await end()
  }
}

/** Whoever ends it waits until all has ended: after Ctrl-C the work may fail first, of what has ended under it. */
function newLifetime(): { t: Lifetime; end: () => Promise<void> } {
  const ends: (() => Promise<void>)[] = []
  let ending: Promise<void> | undefined
  const endAll = async (): Promise<void> => {
    for (let finish = ends.pop(); finish; finish = ends.pop()) await finish()
  }
  const end = async (): Promise<void> => {
    ending ??= endAll()
    await ending
    await endAll() // What was started meanwhile.
  }
  return { t: { onTestFinished: finish => void ends.push(finish) }, end }
}
