/** An answer of the cloud lacks what it should have. The message says what, and where. */
export class ShapeError extends Error {}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Without what PostgreSQL or UTF-8 cannot hold: NUL and half a character. */
export const keepable = (text: string): string => text.replaceAll(/[\0\p{Surrogate}]/gu, '\ufffd')

/** Reads one object of an answer, field by field, and refuses another shape. */
export class Fields {
  readonly #values: Record<string, unknown>
  readonly #path: string

  constructor(value: unknown, path = '') {
    if (!isObject(value)) throw new ShapeError(`${path === '' ? 'it' : path} is not an object`)
    this.#values = value
    this.#path = path
  }

  has(key: string): boolean {
    return this.#values[key] !== undefined && this.#values[key] !== null
  }

  keys(): string[] {
    return Object.keys(this.#values)
  }

  text(key: string): string {
    const value = this.#values[key]
    if (typeof value === 'string') return keepable(value)
    throw this.#not(key, 'text')
  }

  /** Absent means no. Some of Cinder's flags are text. */
  flag(key: string): boolean {
    const value = this.#values[key]
    return value === true || value === 'true'
  }

  optionalText(key: string): string | undefined {
    return this.has(key) ? this.text(key) : undefined
  }

  /** Undefined also for what is no text. For parts that do not matter to us. */
  textIfAny(key: string): string | undefined {
    return typeof this.#values[key] === 'string' ? this.text(key) : undefined
  }

  /** Some clouds number their projects. */
  id(key: string): string {
    const value = this.#values[key]
    return Number.isSafeInteger(value) ? String(value) : this.text(key)
  }

  optionalId(key: string): string | undefined {
    return this.has(key) ? this.id(key) : undefined
  }

  number(key: string): number {
    const value = this.#values[key]
    if (typeof value === 'number' && Number.isFinite(value)) return value
    throw this.#not(key, 'a number')
  }

  /** Cinder writes its times without a zone, and means UTC. */
  time(key: string): Date {
    const text = this.text(key)
    const time = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`)
    if (Number.isNaN(time.getTime())) throw this.#not(key, 'a time')
    return time
  }

  object(key: string): Fields {
    return new Fields(this.#values[key], this.#at(key))
  }

  list(key: string): Fields[] {
    const value = this.#values[key]
    if (Array.isArray(value)) return value.map((item, index) => new Fields(item, `${this.#at(key)}[${index}]`))
    throw this.#not(key, 'a list')
  }

  /** The items of a list that are objects; none where there is no list. */
  objects(key: string): Fields[] {
    const value = this.#values[key]
    const items: unknown[] = Array.isArray(value) ? value : []
    return items.flatMap((item, index) => (isObject(item) ? [new Fields(item, `${this.#at(key)}[${index}]`)] : []))
  }

  #at(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`
  }

  #not(key: string, kind: string): ShapeError {
    return new ShapeError(this.has(key) ? `${this.#at(key)} is not ${kind}` : `${this.#at(key)} is missing`)
  }
}
