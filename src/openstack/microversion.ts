import type { Layer, Said } from './layers.ts'

const KEY = 'volume_api_version'

/** Other clients are told the major version only, which says nothing here; nor does `auto`, to ask for what suits best. */
const SAYS_NOTHING = /^(auto|\d|[12]\.0)$/

export function withoutMajorVersion(layer: Layer): Layer {
  const said = layer.get(KEY)
  if (!said || !SAYS_NOTHING.test(String(said.value))) return layer
  return new Map([...layer].filter(([key]) => key !== KEY))
}

/** N of the microversion 3.N that was asked for; undefined: none was. */
export function pinnedMinorOf(said: Said): number | undefined {
  const version = said.text(KEY)
  if (version === undefined) return undefined
  const minor = /^3\.(\d{1,3})$/.exec(version)?.[1]
  if (minor === undefined) said.refuse(KEY, `"${version}" is no microversion, such as 3.50, nor auto`)
  // In a clouds.yaml both are the number 3.5 unless they are quoted, and nothing tells which of them is meant.
  else if (minor.length === 1 && minor !== '0' && said.nameOf(KEY).startsWith('clouds.')) {
    said.refuse(KEY, `${version} may be 3.${minor}0 without its quotes: say it as openstack.volume_api_version`)
  }
  return Number(minor)
}
