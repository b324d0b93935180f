/** Round after round of the same two, so that whatever else the machine does meets both; who goes first alternates. */
export async function inTurn<Side, Reading>(
  rounds: number,
  [first, second]: readonly [Side, Side],
  measure: (side: Side) => Promise<Reading>
): Promise<[Reading, Reading][]> {
  const readings: [Reading, Reading][] = []
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) {
      const reading = await measure(first)
      readings.push([reading, await measure(second)])
    } else {
      const reading = await measure(second)
      readings.push([await measure(first), reading])
    }
  }
  return readings
}
