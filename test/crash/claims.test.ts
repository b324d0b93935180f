import { FROM_STOCK } from './claim-scenarios.ts'
import { killAtEachStep } from './kill-at-each-step.ts'

killAtEachStep(FROM_STOCK)
