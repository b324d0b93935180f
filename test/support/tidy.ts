/** The house's rules, each a function from source files to what is wrong with them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { parseAst } from 'vitest/node'

export interface SourceFile {
  /** From the checkout, with `/`. */
  readonly path: string
  readonly text: string
}

export type Rule = (file: SourceFile) => string[]

const ROOT = new URL('../../', import.meta.url)

export const FUNCTION_LINES_MAX = 70
export const FILE_LINES_MAX = 300

/** Files that were let grow, and how far. */
const LONG_FILES: Readonly<Record<string, number>> = {
  'sandbox/keystone-routes.ts': 340
}

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

/** What all parts of the service may know: its rules, time, and what every operation works with. */
const CORE = ['pool', 'clock', 'package-root']
const BELOW_CLAIM = ['operations', 'images', 'spare', 'pool']

/** Who may import whom. `root` are the files right below `src`, but for the four that are parts of their own. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  pool: ['pool'],
  operations: ['operations', 'pool'],
  images: ['images', 'operations', 'pool'],
  spare: BELOW_CLAIM,
  claim: ['claim', ...BELOW_CLAIM],
  ticks: ['ticks', 'claim', ...BELOW_CLAIM],
  pools: ['pools', 'ticks', 'claim', ...BELOW_CLAIM],
  connection: ['connection', ...CORE],
  store: ['store', 'connection', ...CORE],
  openstack: ['openstack', 'pool'],
  embedded: ['embedded', ...CORE],
  config: ['config', 'pool'],
  clock: ['pool'],
  root: ['root', 'config', 'operations', ...CORE],
  http: ['http', 'pools', 'ticks', 'claim', ...BELOW_CLAIM, 'config', 'root', ...CORE],
  cli: ['cli', 'http', 'doctor', 'config', 'service', 'operations', 'root', ...CORE],
  main: ['cli', 'root', 'package-root'],
  sandbox: ['sandbox']
}

/** They wire the parts together: to serve, and to look at a configuration. */
const SEE_ALL = ['service', 'doctor']

/** Who also may start the sandbox. */
const STARTS_SANDBOX = ['src/cli/sandbox.ts', 'src/cli/serve.ts']

/** Where time and chance come from. */
const READS_TIME = ['src/clock.ts']

const IGNORE_COMMENT =
  /@ts-(ignore|expect-error|nocheck)|(biome|c8|v8|istanbul|prettier)[- ]ignore|(oxlint|eslint)-disable/g
const SQL =
  /\bselect\s[\s\S]*\sfrom\s|\binsert\s+into\s|\bupdate\s+\w+\s+set\s|\bdelete\s+from\s|\b(create|alter|drop)\s+table\s/i

export const importsPointOneWay: Rule = file => {
  const part = partOf(file.path)
  return importsOf(file).flatMap(specifier => {
    const isOurs = specifier.startsWith('.')
    if (!isOurs) return part === 'pool' ? [`imports ${specifier}: the pool is pure`] : []
    const target = posix.join(posix.dirname(file.path), specifier)
    const isSandbox = partOf(target) === 'sandbox'
    if (isSandbox && STARTS_SANDBOX.includes(file.path)) return []
    const isAllowed = MAY_IMPORT[part]?.includes(partOf(target)) ?? (SEE_ALL.includes(part) && !isSandbox)
    return isAllowed ? [] : [`imports ${target}, which ${part} must not know`]
  })
}

export const functionsAreShort: Rule = file => {
  const found: string[] = []
  walk(file, node => {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) return
    const [from, to] = [lineAt(file, node.start), lineAt(file, node.end)]
    const lines = to - from + 1
    if (lines > FUNCTION_LINES_MAX) found.push(`line ${from}: a function of ${lines} lines`)
  })
  return found
}

export const filesAreShort: Rule = file => {
  const lines = linesOf(file)
  return lines > (LONG_FILES[file.path] ?? FILE_LINES_MAX) ? [`has ${lines} lines`] : []
}

export const timeIsPassedIn: Rule = file => {
  if (READS_TIME.includes(file.path)) return []
  const found = importsOf(file).filter(specifier => /^(node:)?timers(\/promises)?$/.test(specifier))
  walk(file, node => {
    const code = file.text.slice(node.start, node.end)
    const reads =
      (node.type === 'MemberExpression' && /^(Date\.now|Math\.random|performance\.now)$/.test(code)) ||
      (node.type === 'NewExpression' && /^new Date(\(\s*\))?$/.test(code)) ||
      (node.type === 'CallExpression' && /^(globalThis\.)?(set(Timeout|Interval)|Date)\(/.test(code))
    if (reads) found.push(`line ${lineAt(file, node.start)}: ${code.slice(0, 30)}`)
  })
  return found
}

export const nothingIsAny: Rule = file => {
  const found: string[] = []
  walk(file, node => {
    if (node.type === 'TSAnyKeyword') found.push(`line ${lineAt(file, node.start)}: any`)
  })
  return found
}

export const nothingIsIgnored: Rule = file => [...file.text.matchAll(IGNORE_COMMENT)].map(([comment]) => comment)

export const nothingIsLeftToDo: Rule = file => file.text.match(/\b(TODO|FIXME)\b/g) ?? []

export const namesSayWhat: Rule = file => {
  const name = posix.basename(file.path)
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(name)) return ['is not named in kebab-case']
  return /(^|-)(utils?|common|managers?)(-|\.)/.test(name) ? ['is named after nothing'] : []
}

export const sqlIsInTheStore: Rule = file => {
  if (['store', 'connection'].includes(partOf(file.path))) return []
  const found: string[] = []
  walk(file, node => {
    const isText = node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node['value'] === 'string')
    if (isText && SQL.test(file.text.slice(node.start, node.end))) found.push(`line ${lineAt(file, node.start)}: SQL`)
  })
  return found
}

export const migrationsSayWhy: Rule = file => (file.text.startsWith('-- ') ? [] : ['does not open with a comment'])

/** Links and file names in code marks lead somewhere. */
export const documentsLeadSomewhere: Rule = ({ path, text }) => {
  const links = [...text.matchAll(/\]\((?!\w+:)([^)\s#]+)/g)].map(([, link = '']) =>
    posix.join(posix.dirname(path), link)
  )
  const names = [...text.matchAll(/`((?:src|sandbox|test|bench|docs)\/[\w./-]+)`/g)].map(([, name = '']) => name)
  return [...links, ...names]
    .filter(name => !existsSync(new URL(name, ROOT)))
    .map(name => `names ${name}, which is not there`)
}

export const linesOf = (file: SourceFile): number => file.text.trimEnd().split('\n').length

/** The files below a folder whose names end so. */
export function filesBelow(folder: string, ending: string): SourceFile[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith(ending))
    .map(name => `${folder}/${name.replaceAll('\\', '/')}`)
    .map(fileAt)
}

export const fileAt = (path: string): SourceFile => ({ path, text: readFileSync(new URL(path, ROOT), 'utf8') })

/** The folder that a file is in, right above it; below `src` itself, its own name where it is a part of its own. */
function partOf(path: string): string {
  const folder = posix.basename(posix.dirname(path))
  if (folder !== 'src') return folder
  const name = posix.basename(path, '.ts')
  return ['clock', 'main', 'package-root', 'service'].includes(name) ? name : 'root'
}

function importsOf(file: SourceFile): string[] {
  const found: string[] = []
  walk(file, node => {
    const source = node['source']
    if (/^(Import|Export|TSImportType)/.test(node.type) && isNode(source) && typeof source['value'] === 'string') {
      found.push(source['value'])
    }
  })
  return found
}

const lineAt = (file: SourceFile, index: number): number => file.text.slice(0, index).split('\n').length

function walk(file: SourceFile, visit: (node: Node) => void): void {
  const descend = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(descend)
    else if (isNode(value)) {
      visit(value)
      Object.values(value).forEach(descend)
    }
  }
  descend(parseAst(file.text, { lang: 'ts' }))
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'type' in value
