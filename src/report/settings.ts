/** The settings of a deployment and their sources, for the log. */
export type Settings = {
  files: readonly string[]
  /** Why these files were chosen. */
  reason: string
  project: { name: string; source: string }
  directory: { path: string; isGiven: boolean }
  profiles: { names: readonly string[]; isGiven: boolean }
  /** Whether `.env` is shipped with the release. `others` are further env files that are shipped. */
  env: { isShipped: boolean; isOnHost: boolean; others: readonly string[] }
  /** Lines about the variables in build sections. */
  build: readonly string[]
}

/** One line for each setting. */
export function describeSettings({
  files,
  reason,
  project,
  directory,
  profiles,
  env,
  build,
}: Settings): readonly string[] {
  const envFile = env.isShipped ? 'env-file' : 'the .env on the host'
  const lines: readonly [string, string][] = [
    ['Compose files', `${files.join(', ')} (${reason})`],
    ['Project', `${project.name} (${project.source})`],
    [
      'Directory',
      `${directory.path} (${directory.isGiven ? 'the input directory' : 'deploy/ and the name of the project'})`,
    ],
    [
      'Profiles',
      profiles.names.length > 0
        ? `${profiles.names.join(', ')} (${profiles.isGiven ? 'the input profiles' : `COMPOSE_PROFILES of ${envFile}`})`
        : `none (neither the input profiles nor COMPOSE_PROFILES of ${envFile})`,
    ],
    [
      'Variables',
      env.isShipped
        ? 'env-file, which is shipped as .env'
        : env.isOnHost
          ? 'the .env on the host, which stays as it is'
          : 'none: there is no .env',
    ],
    ...(env.others.length > 0 ? [['Env files', `${env.others.join(', ')} (env-files)`] as [string, string]] : []),
    ...(build.length > 0 ? [['Build', build.join(', ')] as [string, string]] : []),
  ]
  return lines.map(([name, text]) => `${`${name}:`.padEnd(15)}${text}`)
}
