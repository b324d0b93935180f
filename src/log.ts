import { type DestinationStream, pino } from 'pino'

/** `detail` is where PostgreSQL quotes a whole row. */
const SECRETS = ['password', 'secret', 'token', 'auth_key', 'authKey', 'headers', 'detail']

const KEPT_BYTES_MAX = 8 * 1024
const KEPT_MS_MAX = 50

/**
 * Standard output. Lines are kept for a moment and written together: one write for each would be a tenth of what a claim takes.
 * Whatever ends the process but SIGKILL, they are written.
 */
function standardOutput(): DestinationStream {
  const to = pino.destination({ dest: 1, minLength: KEPT_BYTES_MAX, periodicFlush: KEPT_MS_MAX })
  process.on('exit', () => to.flushSync())
  return to
}

/** JSON lines, on standard output where no other place is named. Secrets are redacted here, wherever they turn up. */
export const createLog = (level: string, to: DestinationStream = standardOutput()) =>
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
