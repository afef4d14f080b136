import { interpolate } from './variable.ts'

/** What may decide the project's name, the strongest first. */
export type NameSources = {
  input: string | undefined
  /** What a release on the server says. */
  server: string | undefined
  /** What `.env` sets COMPOSE_PROJECT_NAME to. */
  env: string | undefined
  /** `name:` of the Compose files, as written. */
  file: string | undefined
  /** `owner/name`. */
  repository: string
}

/** The name of the Compose project. It must never change: Compose finds volumes and containers by it. */
export function chooseProjectName({ input, server, env, file, repository }: NameSources): string {
  const given = input ?? server ?? (env || undefined) ?? (file && interpolate(file))
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
