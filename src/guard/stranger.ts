import { posix } from 'node:path'
import type { Project } from '../compose/project.ts'
import type { DjangoImage } from '../image/inspect.ts'

/** The warning for services with the image of another Django project. Jobs of it that others wait for may migrate it. */
export function describeStrangers(
  { services }: Pick<Project, 'services'>,
  {
    target,
    managePath = 'manage.py',
    strangers,
  }: Pick<DjangoImage, 'managePath' | 'strangers'> & { target: { group: { services: readonly string[] } } },
): string {
  const isAwaited = (name: string): boolean =>
    strangers.some((other) =>
      services
        .get(other)
        ?.dependsOn.some(
          ({ service, condition }) => service === name && condition === 'service_completed_successfully',
        ),
    )
  const jobs = strangers.filter(isAwaited)
  const others = strangers.filter((name) => !jobs.includes(name))
  const project = `${others.join(' and ')} ${others.length > 1 ? 'have' : 'has'} a different ${posix.basename(managePath)} from ${target.group.services.join(' and ')}, so this seems to be another Django project`
  if (jobs.length > 0)
    return `${project}: what ${jobs.join(' and ')} migrates is neither judged nor verified here, and neither a revert nor a rollback unapplies it`
  return `${project}: its migrations are neither applied nor verified here. Let ${others.join(' and ')} wait for a service that runs \`migrate\` in its image (\`depends_on\` with \`condition: service_completed_successfully\`)`
}

/** The warning of a rollback for what the two releases record as another project; undefined without any. */
export function describeStrangersBehind(
  version: string,
  target: readonly string[],
  current: readonly string[],
): string | undefined {
  const strangers = [...new Set([...target, ...current])]
  if (strangers.length === 0) return undefined
  return `${strangers.join(' and ')} ${strangers.length > 1 ? 'seem' : 'seems'} to be another Django project: the rollback to ${version} neither compares its code with its database nor unapplies its migrations. Check that its older code works with them`
}
