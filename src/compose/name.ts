import { nonEmptyLines } from '../values.ts'
import { interpolate } from './variable.ts'

/** What may decide the project's name, the strongest first. */
export type NameSources = {
  input: string | undefined
  /** What a release on the server says. */
  server: string | undefined
  /** The text of `.env`, when the release ships one. */
  env: string | undefined
  /** `name:` of the Compose files, as written. */
  file: string | undefined
  /** `owner/name`. */
  repository: string
}

/** The name of the Compose project. It must never change: Compose finds volumes and containers by it. */
export function chooseProjectName({ input, server, env, file, repository }: NameSources): string {
  const given = input ?? server ?? envValue(env, 'COMPOSE_PROJECT_NAME') ?? (file && interpolate(file))
  if (given !== undefined && given !== '' && /^[a-z0-9][a-z0-9_-]*$/.test(given)) return given
  return sanitise(given || (repository.split('/').at(-1) ?? repository))
}

/** As Compose makes a name of a folder's. */
function sanitise(text: string): string {
  return (
    text
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, '')
      .replace(/^[_-]+/, '') || 'app'
  )
}

/** The value of a setting in the text of an env file; later lines win. */
export function envValue(text: string | undefined, name: string): string | undefined {
  const values = nonEmptyLines(text ?? '').map((line) => {
    const [, key, value] = /^(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$/.exec(line) ?? []
    if (key !== name || value === undefined) return undefined
    const [, , quoted] = /^(['"])(.*?)\1/.exec(value) ?? []
    return quoted ?? value.replace(/\s+#.*$/, '').trim()
  })
  return values.findLast((value) => value !== undefined && value !== '')
}
