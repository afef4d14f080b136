import type { App } from '../compose/app.ts'
import { copyWith, DeployError } from '../errors.ts'
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

/**
 * Adds the service that is probably meant to a failure when no service has the host name of the database. Other
 * failures stay as they are.
 */
export function explainUnknownHost(failure: unknown, { services }: App): unknown {
  if (!(failure instanceof DeployError) || failure.code !== explanations.database_down.code) return failure
  const [, host] = / at ([\w-]+) does not answer/.exec(failure.seen ?? '') ?? []
  const names = [...services.values()].flatMap(({ hostNames }) => hostNames)
  if (host === undefined || names.includes(host)) return failure
  const meant = names.find((name) => isTypo(host, name))
  if (meant === undefined) return failure
  return copyWith(failure, {
    why: `no service of the Compose file has the name ${host}: did you mean ${meant}?`,
    fix: `if so, write ${meant} as the host of the database, in the env file or in DATABASES of the settings; otherwise: ${failure.fix}`,
  })
}

/** Whether one character is missing, surplus or different, or two neighbours are swapped. */
function isTypo(typed: string, name: string): boolean {
  const start = [...typed].findIndex((letter, place) => letter !== name[place])
  const from = start < 0 ? typed.length : start
  const [left, right] = [typed.slice(from), name.slice(from)]
  const isSwapped = left.slice(0, 2) === [...right.slice(0, 2)].reverse().join('') && left.slice(2) === right.slice(2)
  return isSwapped || [left.slice(1), left].includes(right) || [left.slice(1), left].includes(right.slice(1))
}
