/** What decides the default version. */
export type VersionFacts = { refType: string; refName: string; sha: string }

/** An input: what people read about it, and how its text becomes a value. */
export type Input<T> = {
  description: string
  required?: true
  /** The default as written in action.yml; empty when there is none. */
  default?: string
  /** What happens without a value, where the default is not a text. */
  otherwise?: string
  /** Never shown, not even in the error about it. */
  secret?: true
  parse: (text: string, facts: VersionFacts) => T
}

/** Gives a row of the table its value type. */
export function input<T>(row: Input<T>): Input<T> {
  return row
}
