/** The parameters of `defaultVersion`. */
export type VersionFacts = { refType: string; refName: string; sha: string }

/** An input: its documentation, and the parser of its text. */
export type Input<T> = {
  description: string
  required?: true
  /** The case in which a required input may be empty. */
  exempt?: string
  /** The default as written in action.yml; empty without a default. */
  default?: string
  /** The effect of leaving the input out, if the default is not a text. */
  otherwise?: string
  /** The value is never shown, not even in an error about it. */
  secret?: true
  parse: (text: string, facts: VersionFacts) => T
}

/** Infers the value type of a row in the table. */
export function input<T>(row: Input<T>): Input<T> {
  return row
}
