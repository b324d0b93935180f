/**
 * Makes `dist`: the service with most of its libraries in a few files. Node would find, read and link 1,500 otherwise, which
 * takes longer than all else that a start does.
 */
import { rmSync } from 'node:fs'
import { build } from 'esbuild'

/** They read files of their own package, or run them in other threads and processes. */
const LEFT_OUTSIDE = ['@fastify/swagger-ui', 'node-cron', 'pino']
/** Knex asks for them only where one of these databases is used. */
const OTHER_DATABASES = [
  'better-sqlite3',
  'mariadb',
  'mysql',
  'mysql2',
  'oracledb',
  'pg-native',
  'pg-query-stream',
  'sqlite3',
  'tedious'
]

rmSync('dist', { recursive: true, force: true })
await build({
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  bundle: true,
  splitting: true, // So that a command loads only what it needs.
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  sourcesContent: false,
  legalComments: 'linked',
  external: [...LEFT_OUTSIDE, ...OTHER_DATABASES],
  // What a library in CommonJS requires is either in here or one of Node's own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'warning'
})
