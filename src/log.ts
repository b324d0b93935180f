import { type DestinationStream, pino } from 'pino'

/** In `detail` PostgreSQL quotes whole rows. */
const SECRETS = ['password', 'secret', 'token', 'auth_key', 'authKey', 'headers', 'detail']

/** JSON lines, without secrets. Written synchronously: handing a line to another thread takes longer than writing it. */
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
