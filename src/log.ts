import { type DestinationStream, pino } from 'pino'

/** `detail` is where PostgreSQL quotes a whole row. */
const SECRETS = ['password', 'secret', 'token', 'auth_key', 'authKey', 'headers', 'detail']

/**
 * JSON lines, on standard output where no other place is named: written at once, since handing each to another thread takes
 * longer than writing it. Secrets are redacted here, wherever they turn up.
 */
export const createLog = (level: string, to: DestinationStream = pino.destination({ dest: 1, sync: true })) =>
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
