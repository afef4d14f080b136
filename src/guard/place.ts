import { DeployError } from '../errors.ts'
import type { Container } from '../host/container.ts'
import { fact } from '../host/fact.ts'
import type { Server } from '../host/look.ts'
import { currentRelease } from '../host/release.ts'

/** The project to deploy, and its place on the host. */
export type Wanted = {
  name: string
  /**
   * Whether the input `project` sets the name: a stack of the same images under another name is then another project.
   */
  isNamed: boolean
  directory: string
  /** The active services that are built here: a stack that was started by hand has no inactive ones. */
  services: readonly string[]
  /** The repositories that their images may be pushed to. */
  images: readonly string[]
  /** Ports that it publishes, except those that depend on variables of the host. */
  ports: readonly number[]
}

/** The only project that runs in our directory, no matter who started it. */
export function projectIn(server: Server): string | undefined {
  const names = new Set(server.containers.filter((each) => isHere(server, each)).map(({ project }) => project))
  const [only, ...others] = names
  return others.length === 0 ? only : undefined
}

/** Stops when a stack that seems to be this project runs under another name or in another folder. */
export function checkPlace(server: Server, wanted: Wanted): void {
  const known = fact(currentRelease(server)?.facts, 'project')
  if (known !== undefined && known !== wanted.name) throw elsewhere(server, wanted, known, undefined, 'its releases')
  const named = server.containers.filter(({ project }) => project === wanted.name)
  if (named.some((each) => isHere(server, each))) return
  const [stray] = named
  if (stray) throw elsewhere(server, wanted, stray.project, stray.folder, 'its containers')
  const here = server.containers.find((each) => isHere(server, each))
  if (here) throw elsewhere(server, wanted, here.project, undefined, 'its containers')
  if (known !== undefined) return
  for (const [name, stack] of Map.groupBy(server.containers, ({ project }) => project)) {
    const evidence = resemblance(stack, wanted)
    if (evidence !== undefined) throw elsewhere(server, wanted, name, stack[0]?.folder, evidence)
  }
}

function isHere(server: Server, { folder }: Container): boolean {
  return server.folders.includes(folder)
}

/** The same services alone prove nothing: most projects have `web` and `db`. */
function resemblance(stack: readonly Container[], { isNamed, services, images, ports }: Wanted): string | undefined {
  if (services.length === 0 || !services.every((name) => stack.some(({ service }) => service === name)))
    return undefined
  const same = `the services ${services.join(', ')}`
  const port = ports.find((wanted) =>
    stack.some((each) => services.includes(each.service) && each.ports.includes(wanted)),
  )
  if (port !== undefined) return `${same}, and the port ${port}`
  const image = isNamed ? undefined : images.find((name) => stack.some((each) => repositoryOf(each.imageName) === name))
  return image === undefined ? undefined : `${same}, and the image ${image}`
}

function repositoryOf(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^:/]*$/, '')
}

function elsewhere(
  { home }: Server,
  wanted: Wanted,
  project: string,
  folder: string | undefined,
  evidence: string,
): DeployError {
  const directory = folder?.startsWith(`${home}/`) ? folder.slice(home.length + 1) : folder
  // A wrong directory is the usual mistake; in the right one the name is mostly known.
  const lines = [
    ...(directory === undefined ? [] : [`directory: ${directory}`]),
    ...(project === wanted.name ? [] : [`project: ${project}`]),
  ]
  return new DeployError('project-elsewhere', {
    what: `This project seems to run on the host already: as ${project} in ${directory ?? wanted.directory}`,
    seen: `${evidence}; this deployment would be ${wanted.name} in ${wanted.directory}`,
    why: 'under another name or in another folder it would start with empty volumes, next to the running stack or instead of it',
    fix: `add to the step:\n${lines.join('\n')}\nor, if it is another project, give this one a name, folder and ports of its own`,
  })
}
