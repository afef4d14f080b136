import { posix } from 'node:path'
import type { Project } from '../compose/project.ts'
import { DeployError } from '../errors.ts'
import { explanations } from '../host/explanation.ts'

/** The parameters of `describeWay`. */
type ImportFacts = {
  /** The service that runs Django, and the env files that it reads. */
  service: string
  envFiles: readonly string[]
  hasEntrypoint: boolean
}

/** Explains settings that do not import: the fix names the service's env files. Other failures stay as they are. */
export function explainImport(
  failure: unknown,
  { services }: Pick<Project, 'services'>,
  service: string,
  ofImage: readonly string[],
): unknown {
  const { entrypoint: own = ofImage, envFiles = [] } = services.get(service) ?? {}
  const facts = { service, envFiles, hasEntrypoint: own.length > 0 }
  const { code, fix } = explanations.not_importable
  if (!(failure instanceof DeployError) || failure.code !== code || failure.fix !== fix) return failure
  const entrypoint =
    'The entrypoint of the image may set it. But until the database runs, the probe skips the entrypoint and uses a stand-in value'
  return new DeployError(code, {
    what: failure.what,
    seen: failure.seen,
    why: facts.hasEntrypoint ? `${failure.why}. ${entrypoint}` : failure.why,
    fix: `${describeWay(facts)}; set \`manage\` if the image starts Django commands differently`,
    cause: failure,
  })
}

function describeWay({ service, envFiles }: ImportFacts): string {
  const others = envFiles.map((file) => posix.normalize(file)).filter((file) => file !== '.env')
  const own = 'in `env-file`, or in `.env` on the host'
  if (envFiles.length === 0) {
    return `name the variable below \`environment:\` of ${service}, as in NAME: \${NAME}, and set it ${own}`
  }
  const names = others.map((file) => `\`${file}\``).join(' or ')
  if (others.length === 0) return `set the variable ${own}`
  const way = `set the variable in ${names} (input \`env-files\`, or the file on the host)`
  return others.length < envFiles.length ? `${way}, or ${own}` : way
}
