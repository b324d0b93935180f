import { happen } from './happenings.ts'
import { fill, recover } from './recovery.ts'
import type { World } from './world.ts'

/** Some minutes with everything that can go wrong, and then the time to mend it all. */
export async function live(world: World, happenings: number): Promise<void> {
  await world.begin()
  if (world.random.fraction() < 0.8) await fill(world)
  for (let count = 0; count < happenings; count += 1) {
    if (!world.scheduler.isIdle && world.random.fraction() < 0.8) await world.step()
    else await disturb(world)
  }
  await recover(world)
}

async function disturb(world: World): Promise<void> {
  world.note(await happen(world))
  await world.scheduler.settle()
  await world.look('store')
}
