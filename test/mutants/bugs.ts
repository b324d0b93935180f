import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

const BUGS = fileURLToPath(new URL('bugs', import.meta.url))

/** A text that stands in a file once, and what stands there instead when the bug is planted. */
interface Edit {
  readonly file: string
  /** Any run of blanks and line breaks matches any other. */
  readonly find: string
  readonly replace: string
}

/** A bug that somebody might well make. */
export interface Bug {
  readonly name: string
  readonly edits: readonly Edit[]
  /** Test files, in at least one of which a test must fail. */
  readonly caughtBy: readonly string[]
}

interface Row extends Edit {
  readonly bug: string
  readonly also?: readonly Edit[]
  readonly 'caught by': readonly string[]
}

/** All of them, in the order of their names. */
export const bugs = (): Bug[] =>
  readdirSync(BUGS)
    .flatMap(file => parse(readFileSync(join(BUGS, file), 'utf8')) as Row[])
    .map(({ bug, also = [], 'caught by': caughtBy, ...edit }) => ({ name: bug, edits: [edit, ...also], caughtBy }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))

/** Plants a bug in a folder; gives what takes it out again. Throws where its text does not stand in the file exactly once. */
export function plant({ edits }: Bug, folder: string): () => void {
  const undo: (() => void)[] = []
  for (const edit of edits) {
    const path = join(folder, edit.file)
    const before = readFileSync(path, 'utf8')
    writeFileSync(path, applied(edit, before))
    undo.unshift(() => writeFileSync(path, before))
  }
  return () => {
    for (const takeBack of undo) takeBack()
  }
}

/** The text with the edit made. */
export function applied({ file, find, replace }: Edit, text: string): string {
  const pattern = new RegExp(find.trim().split(/\s+/).map(escaped).join('\\s+'), 'g')
  const found = text.match(pattern)?.length ?? 0
  if (found !== 1) throw new Error(`${file} has this text ${found} times instead of once:\n${find}`)
  return text.replace(pattern, () => replace.trimEnd())
}

const escaped = (word: string): string => word.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
