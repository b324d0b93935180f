import type { SeededCloud } from '../../sandbox/seed.ts'
import { sandboxApp } from '../../sandbox/server.ts'
import { type Database, openDatabase } from '../../src/store/connection/database.ts'
import { aDatabaseAddress } from '../support/database.ts'
import { Victims } from './victims.ts'
import type { Workplace } from './worker.ts'

/** What has its turn at the door of the one cloud that a file's tests talk to. */
export interface Guest {
  readonly cloud: SeededCloud
  /** The cloud has done its part of a request, and its answer is about to leave. */
  answering(): Promise<void>
}

/** What takes long to set up, and what stages use one after the other. */
export interface Home {
  readonly database: Workplace['database']
  /** One connection, which looks at what others do. */
  readonly db: Database
  /** The cloud's. */
  readonly url: string
  readonly victims: Victims
  guest: Guest | undefined
}

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

export async function aHome(t: Lifetime): Promise<Home> {
  const { socketDir, user, database } = await aDatabaseAddress(t)
  const address = { socketDir, user, database }
  const db = openDatabase({ ...address, connectionsMax: 1 })
  t.onTestFinished(async () => await db.destroy())
  const victims = new Victims()
  t.onTestFinished(() => victims.close())
  const guest = (): Guest => {
    if (!home.guest) throw new Error('there is nobody at home')
    return home.guest
  }
  const app = sandboxApp(
    () => guest().cloud,
    () => undefined
  )
  app.addHook('onSend', async () => await guest().answering())
  t.onTestFinished(async () => await app.close())
  const home: Home = {
    database: address,
    db,
    url: await app.listen({ host: '127.0.0.1', port: 0 }),
    victims,
    guest: undefined
  }
  return home
}
