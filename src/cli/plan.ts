import type { Command } from 'commander'
import type { PlanView } from '../http/schemas.ts'
import { printJson, printTable } from './output.ts'
import { type ClientOptions, callService, clientCommand, jsonOption } from './request.ts'

/** `spare-pool plan`: what the next replenish tick would do. */
export const planCommand = (): Command =>
  clientCommand('plan', 'show what the next replenish tick would do, and why; changes nothing')
    .addOption(jsonOption())
    .action(async (options: ClientOptions) => {
      const plan = (await callService(options, 'GET', '/pool/plan')) as { pools: PlanView[] }
      if (options.json) return printJson(plan)
      printTable(
        ['OS', 'TYPE', 'TARGET', 'HELD', 'IN FLIGHT', 'MISSING', 'CREATE', 'WHY'],
        plan.pools.map(({ os, type, target, held, in_flight, missing, create, reason }) => {
          return [os, type, target, held, in_flight, missing, create, reason]
        })
      )
    })
