/** What came of it, or how it failed: for work whose failure does not keep the rest from being done. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | Error> {
  try {
    return await work()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
