import { type DestinationStream, pino } from 'pino'

const SECRETS = ['password', 'secret', 'token', 'auth_key', 'authKey', 'headers']

/** JSON lines, on standard output where no other place is named. Secrets are redacted here, wherever they turn up. */
export const createLog = (level: string, to: DestinationStream = pino.destination(1)) =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: SECRETS.flatMap(name => [name, `*.${name}`])
    },
    to
  )
