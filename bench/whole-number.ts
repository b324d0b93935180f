import { InvalidArgumentError } from 'commander'

/** Reads an option that is one. */
export const wholeNumber =
  (min: number) =>
  (text: string): number => {
    if (/^\d{1,10}$/.test(text) && Number(text) >= min) return Number(text)
    throw new InvalidArgumentError(`It must be a whole number, ${min} or more.`)
  }
