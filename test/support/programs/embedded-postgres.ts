/** Starts the embedded PostgreSQL of a data directory, tells where it is, and stops it on SIGTERM. */
import { startEmbeddedPostgres } from '../../../src/embedded/embedded-postgres.ts'

const [dataDir = ''] = process.argv.slice(2)
const postgres = await startEmbeddedPostgres({ dataDir })
process.once('SIGTERM', () => {
  postgres.stop().then(
    () => process.stdout.write('stopped well\n'),
    error => process.stdout.write(`stopped badly: ${error}\n`)
  )
})
process.stdout.write(`socket ${postgres.socketDir}\n`)
