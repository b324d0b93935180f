import type { Layer } from './clouds-yaml.ts'

const KEY = 'volume_api_version'

/** Other clients are told the major version only, which says nothing here; nor does `auto`, to ask for what suits best. */
const SAYS_NOTHING = /^(auto|\d|[12]\.0)$/

export function withoutMajorVersion(layer: Layer): Layer {
  const { [KEY]: said, ...values } = layer.values
  return SAYS_NOTHING.test(String(said)) ? { ...layer, values } : layer
}

/** N of `3.N`; undefined: it is none. */
export function minorOf(version: string): number | undefined {
  const minor = /^3\.(\d{1,3})$/.exec(version)?.[1]
  return minor === undefined ? undefined : Number(minor)
}
