import { killAtEachStep } from './kill-at-each-step.ts'
import { UPKEEP } from './upkeep-scenarios.ts'

killAtEachStep(UPKEEP)
