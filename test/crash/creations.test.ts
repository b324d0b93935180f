import { CREATIONS } from './creation-scenarios.ts'
import { killAtEachStep } from './kill-at-each-step.ts'

killAtEachStep(CREATIONS)
