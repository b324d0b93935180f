import { type Arbitrary, oneof, tuple, type WeightedArbitrary } from 'fast-check'
import { claims, repeats } from './claim-commands.ts'
import * as cloud from './cloud-commands.ts'
import { type Command, series } from './command.ts'
import * as service from './service-commands.ts'

const often = (weight: number, arbitrary: Arbitrary<Command>): WeightedArbitrary<Command> => ({ weight, arbitrary })

/** A refill is on its way when claims come that find nothing. */
const waits = tuple(service.replenishments, claims, claims, cloud.finishes, service.checks).map(series)

/** All that happens, and how often. */
export const anyCommand: Arbitrary<Command> = oneof<WeightedArbitrary<Command>[]>(
  often(10, claims),
  often(6, repeats),
  often(6, waits),
  often(8, service.replenishments),
  often(1, service.replenishTwice),
  often(8, service.checks),
  often(3, service.reconciliations),
  often(2, service.syncs),
  often(2, service.pauses),
  often(1, service.retirements),
  often(1, service.targetChanges),
  often(12, cloud.finishes),
  often(3, cloud.failures),
  often(2, cloud.losses),
  often(2, cloud.deletions),
  often(1, cloud.attachments),
  often(1, cloud.tenantMakes),
  often(2, cloud.quotas),
  often(2, cloud.snapshots),
  often(4, cloud.passes)
)
