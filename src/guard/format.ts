import { formattedEnvFiles } from '../compose/env-file.ts'
import { placeOfService } from '../compose/place.ts'
import type { Project } from '../compose/project.ts'
import { checkAll, DeployError } from '../errors.ts'
import { isAtLeast } from '../host/look.ts'

/** Stops for a `format:` of an env file that this Compose does not know. Its own error names neither service nor cause. */
export function checkFormats(project: Project, active: readonly string[], compose: string | undefined): void {
  if (compose === undefined || isAtLeast(compose, [2, 30])) return
  const files = active.flatMap((service) => formattedEnvFiles(project, service).map((path) => ({ service, path })))
  checkAll(
    ...files.map(({ service, path }) => () => {
      throw new DeployError('server-compose-old', {
        what: `The host needs Docker Compose 2.30 or newer: service ${service} reads ${path} with \`format:\``,
        seen: compose,
        fix: "install the package docker-compose-plugin from Docker's own repository on the host: https://docs.docker.com/compose/install/linux/; or remove `format:`, and put values with `$` or `#` in single quotes",
        annotation: placeOfService(project, service, 'env_file'),
      })
    }),
  )
}
