import { DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { look, type Server } from './look.ts'

/** A project on the host. The directory is undefined when nothing was ever deployed in `deploy/`. */
export type Found = { directory: string | undefined; server: Server }

/** The given directory, or else the only project below `deploy/`. */
export async function findProject(connection: Connection, script: string, given: string | undefined): Promise<Found> {
  const directory = given ?? (await findOnly(connection))
  return { directory, server: await look(connection, script, directory ?? 'deploy/-') }
}

/** A short command finds the directory, so that the full inspection of the host runs only once. */
async function findOnly(connection: Connection): Promise<string | undefined> {
  const words = ['find', '-L', 'deploy', '-mindepth', '2', '-maxdepth', '2', '-name', '.deploy']
  const { stdout } = await connection.callOrThrow(words)
  // The start files of a login shell may print other lines.
  const projects = stdout.split('\n').flatMap((line) => /^(deploy\/[^/]+)\/\.deploy$/.exec(line)?.[1] ?? [])
  if (projects.length < 2) return projects[0]
  throw new DeployError('input-missing', {
    what: 'Several projects are on the host, and `directory` names none of them',
    seen: projects.sort().join(', '),
    fix: `set directory: ${projects[0]}, or the one that is meant`,
  })
}

/** Like `findProject`, but fails without a project. */
export async function requireProject(
  connection: Connection,
  script: string,
  given: string | undefined,
): Promise<{ directory: string; server: Server }> {
  const { directory, server } = await findProject(connection, script, given)
  if (directory !== undefined) return { directory, server }
  throw new DeployError('input-missing', {
    what: 'No project was found in deploy/ on the host',
    why: 'nothing was deployed there by this user yet, or it was deployed to another directory',
    fix: 'deploy first, or set `directory` to the folder of the project on the host',
  })
}

/** The error of a command that needs an earlier deployment. */
export function nothingDeployed(directory: string): DeployError {
  return new DeployError('nothing-deployed', {
    what: `Nothing was deployed to ${directory} yet`,
    why: 'the first deployment failed or was never made, or the folder is wrong',
    fix: 'deploy first, or set `directory` to the folder of the project on the host',
  })
}
