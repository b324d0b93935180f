/** Migrates the database of a URL from a folder. */
import { systemClock } from '../../../src/clock.ts'
import { openDatabase } from '../../../src/store/connection/database.ts'
import { migrate } from '../../../src/store/migrate.ts'

const [url = '', folder = ''] = process.argv.slice(2)
await migrate(openDatabase({ url }), systemClock, folder)
