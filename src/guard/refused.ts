import { DeployError } from '../errors.ts'
import { explanations } from '../host/explanation.ts'
import type { DenialFacts } from './denied.ts'

/** The facts that name the container of a database. */
export type RefusalFacts = DenialFacts & {
  project: string
  /** Whether nothing was ever committed here. */
  isNew: boolean
}

/**
 * Adds commands to a failure when a PostgreSQL container of the release refuses the password: it keeps the one with
 * which its volume was first made. Other failures stay as they are.
 */
export function explainRefused(failure: unknown, { mounts, app, project, isNew }: RefusalFacts): unknown {
  const { code, fix } = explanations.database_refused
  if (!(failure instanceof DeployError) || failure.code !== code || failure.fix !== fix) return failure
  const { what, seen, why } = failure
  if (!/authentication failed/i.test(seen ?? '')) return failure
  const [, host] = / at (\S+) refused/.exec(seen ?? '') ?? []
  const service = [...app.services.values()].find(({ hostNames }) => hostNames.some((name) => name === host))
  if (!service || !/postg|timescale|pgvector/.test(service.image ?? '')) return failure
  const ids = (options: string): string =>
    `$(docker ps ${options} --filter label=com.docker.compose.project=${project} --filter label=com.docker.compose.service=${service.name})`
  const volumes = (mounts.get(service.name) ?? []).filter(
    ({ kind, target }) => kind === 'volume' && target.startsWith('/var/lib/postgresql'),
  )
  const names = volumes.map(({ source }) => source).join(' ')
  const renew =
    isNew && names !== ''
      ? `\nor, only if this database is new and holds no data that you need, remove it; the next deploy makes it with the password of the env file: docker rm -f ${ids('-aq')} && docker volume rm ${names}`
      : ''
  return new DeployError(code, {
    what,
    seen,
    why,
    fix: `correct the password in the env file. PostgreSQL keeps the password of its first start, whatever the env file says later; to change it there, on the host: docker exec -it ${ids('-q')} sh -c 'psql -U "\${POSTGRES_USER:-postgres}" -c "\\password" postgres'${renew}`,
  })
}
