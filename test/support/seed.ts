/** Before each test file: the run's one seed, for fast-check and for simulations, so that a failure can be repeated. */
import { configureGlobal } from 'fast-check'
import { inject } from 'vitest'

export const seed = inject('seed')

configureGlobal({ seed })
