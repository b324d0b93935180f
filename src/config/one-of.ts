import { Type } from 'typebox'

/** A closed list of words, as OpenAPI shows it best. */
export const oneOf = <const Words extends readonly string[]>(words: Words, fallback?: Words[number]) =>
  Type.Unsafe<Words[number]>({
    type: 'string',
    enum: [...words],
    ...(fallback === undefined ? {} : { default: fallback })
  })
