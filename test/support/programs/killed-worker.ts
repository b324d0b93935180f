/** Does one thing that it is told, and kills itself right after the step that it is told. */
import { type Act, aWorker, type Workplace } from '../../crash/worker.ts'
import { TestClock } from '../test-clock.ts'

export interface Order {
  readonly place: Workplace
  /** Milliseconds since 1970. Its time stands still, so that nothing but the steps happens. */
  readonly now: number
  readonly act: Act
  readonly dieAfter: string
}

process.once('message', (order: Order) => void obey(order))

async function obey({ place, now, act, dieAfter }: Order): Promise<never> {
  const clock = new TestClock()
  clock.pass((now - clock.now().getTime()) / 1000)
  const worker = aWorker(place, clock, step => {
    if (step === dieAfter) process.kill(process.pid, 'SIGKILL')
  })
  const outcome = await worker.perform(act).catch(String)
  throw new Error(`It lived through ${dieAfter}: ${JSON.stringify(outcome)}`)
}
