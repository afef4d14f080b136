import { DeployError, type Problem } from '../errors.ts'
import { leftOverPort } from '../host/docker-error.ts'
import type { PortHolder } from '../host/look.ts'

/**
 * Stops when something else holds a port that the release publishes. Docker would report it only after much was
 * created.
 */
export function checkPorts(holders: readonly PortHolder[], wanted: readonly number[], project: string): void {
  const taken = holders.filter(
    (holder) => wanted.includes(holder.port) && (holder.kind !== 'container' || holder.project !== project),
  )
  const stale = taken.find(({ kind }) => kind === 'docker')
  if (stale) throw new DeployError('port-left-over', leftOverPort(String(stale.port)))
  const [first] = taken
  if (!first) return
  throw new DeployError('port-taken', {
    what: `Port ${first.port} of the host is in use`,
    seen: taken.map(describe).join('\n'),
    ...advise(first),
  })
}

function describe(holder: PortHolder): string {
  if (holder.kind !== 'container') return `${holder.port}: a program outside of Docker listens there`
  const of = holder.project === '' ? '' : ` of the project ${holder.project}`
  return `${holder.port}: the container ${holder.name}${of} publishes it`
}

function advise(holder: PortHolder): Pick<Problem, 'fix'> {
  const stop =
    holder.kind === 'container'
      ? `stop that container on the host: docker stop ${holder.name}`
      : `stop that program; on the host, as root: ss -ltnp 'sport = :${holder.port}' names it`
  return { fix: `publish another port in the Compose file, or ${stop}` }
}
