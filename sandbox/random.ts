/** Chance from a seed: the same seed and the same calls give the same values. Not for secrets. */
export class Random {
  #state: number

  constructor(seed: number, purpose: string) {
    this.#state = seed | 0
    for (const character of purpose) this.#state = Math.imul(this.#state ^ (character.codePointAt(0) ?? 0), 0x9e3779b1)
  }

  /** 32 bits: a Weyl sequence, mixed so that every bit depends on every bit. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** From 0 up to, but not, 1. */
  fraction(): number {
    return this.#next() / 2 ** 32
  }

  hex(length: number): string {
    let text = ''
    while (text.length < length) text += this.#next().toString(16).padStart(8, '0')
    return text.slice(0, length)
  }

  uuid(): string {
    const hex = this.hex(32)
    const variant = ((this.#state & 3) | 8).toString(16)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`
  }
}
