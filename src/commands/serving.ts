import { chooseProjectName } from '../compose/name.ts'
import type { Connection } from '../host/connection.ts'
import { fact } from '../host/fact.ts'
import { isIdle, look } from '../host/look.ts'
import { currentRelease } from '../host/release.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { servingOf } from '../report/report.ts'
import type { Context } from './context.ts'

/**
 * Finds the current release for a failure that comes before the inspection of the host. Without a checkout the
 * directory is a guess, so finding no release proves nothing while a container runs. An error of the host is ignored,
 * because the first failure is reported.
 */
export async function findServing(
  connect: () => Promise<Connection>,
  { directory: given, project }: Pick<DeployInputs, 'directory' | 'project'>,
  { runner, assets, found }: Context,
): Promise<void> {
  try {
    const sources = { host: undefined, env: undefined, file: undefined, settings: undefined }
    const { name } = chooseProjectName({ input: project, repository: runner.repository, ...sources })
    const directory = given ?? `deploy/${name}`
    const server = await look(await connect(), assets.transaction.toString(), directory)
    const current = currentRelease(server)
    if (!current) {
      if (isIdle(server)) found({ serving: servingOf(undefined) })
      return
    }
    const { version, facts } = current
    const { since } = server
    found({ directory, project: fact(facts, 'project'), previous: version, serving: servingOf(version), since })
  } catch {
    // The current release stays unknown.
  }
}
