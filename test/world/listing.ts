import type { Server } from './server.ts'

/** Filters of `docker ps` and the like: what belongs to a Compose project, or to one of its services. */
export function ofProject(project: string, service?: string): string[] {
  const labels = [`project=${project}`, ...(service === undefined ? [] : [`service=${service}`])]
  return labels.flatMap((label) => ['--filter', `label=com.docker.compose.${label}`])
}

/** The containers of a project or service, running or not, a line each: whole ids, or what `format` says. */
export async function listContainers(
  server: Pick<Server, 'docker'>,
  project: string,
  { service, format = '{{.ID}}' }: { service?: string; format?: string } = {},
): Promise<string[]> {
  return linesOf(await server.docker('ps', '-a', '--no-trunc', ...ofProject(project, service), '--format', format))
}

export const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '')
