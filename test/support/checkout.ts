import { chmod, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))

/** A copy of our sources and of the packages named, somewhere else; `mode` is the folder's above it. */
export async function aCheckout(t: Lifetime, packages: readonly string[], mode: number): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'home-'))
  t.onTestFinished(() => rm(home, { recursive: true, force: true, maxRetries: 20 })) // A killed server goes on writing for a moment.
  const checkout = join(home, 'checkout')
  await mkdir(checkout)
  for (const part of ['package.json', 'src', 'test/support']) {
    await cp(join(CHECKOUT, part), join(checkout, part), { recursive: true })
  }
  const copied = new Set<string>()
  for (const name of packages) await copyPackage(name, checkout, copied)
  await chmod(home, mode)
  return checkout
}

async function copyPackage(name: string, checkout: string, copied: Set<string>): Promise<void> {
  if (copied.has(name)) return
  copied.add(name)
  const from = join(CHECKOUT, 'node_modules', name)
  const manifest = await readFile(join(from, 'package.json'), 'utf8').catch(() => undefined)
  if (!manifest) return // Optional, and for another platform.
  const to = join(checkout, 'node_modules', name)
  await mkdir(dirname(to), { recursive: true })
  await cp(from, to, { recursive: true, verbatimSymlinks: true })
  const { dependencies = {}, optionalDependencies = {} }: Record<string, Record<string, string>> = JSON.parse(manifest)
  for (const needed of Object.keys({ ...dependencies, ...optionalDependencies }))
    await copyPackage(needed, checkout, copied)
}
