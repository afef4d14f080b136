import { transformSync } from 'amaro'

/** Jest transformer: removes the types and keeps every line and column where it was. */
export default { process: (source) => ({ code: transformSync(source, { mode: 'strip-only' }).code }) }
