import { posix } from 'node:path'
import type { Project } from '../compose/project.ts'
import type { Repository } from '../compose/repository.ts'
import { DeployError } from '../errors.ts'
import { explanations } from '../host/explanation.ts'

/** The parameters of `describeWay`. */
type ImportFacts = {
  /** The service that runs Django, and the env files that it reads. */
  service: string
  envFiles: readonly string[]
  hasEntrypoint: boolean
}

/**
 * Explains settings that do not import: the fix names the service's env files, or the project's file that the image
 * lacks. Other failures stay as they are.
 */
export function explainImport(
  failure: unknown,
  { services }: Pick<Project, 'services'>,
  service: string,
  ofImage: readonly string[],
  { files }: Pick<Repository, 'files'>,
): unknown {
  const { entrypoint: own = ofImage, envFiles = [] } = services.get(service) ?? {}
  const facts = { service, envFiles, hasEntrypoint: own.length > 0 }
  const { code, fix } = explanations.not_importable
  if (!(failure instanceof DeployError) || failure.code !== code || failure.fix !== fix) return failure
  const { what, seen } = failure
  const lacking = findLacking(seen ?? '', [...files.keys()])
  if (lacking !== undefined) {
    return new DeployError(code, {
      what,
      seen,
      why: `${lacking} is not in the image, probably because .gitignore or .dockerignore leaves it out`,
      fix: `commit ${lacking}, or remove it from .dockerignore; or mount it (\`volumes\` of ${service}) and give its content with \`env-files\`; or make the import optional`,
    })
  }
  const entrypoint =
    'The entrypoint of the image may set it. But until the database runs, the probe skips the entrypoint and uses a stand-in value'
  return new DeployError(code, {
    what,
    seen,
    why: facts.hasEntrypoint ? `${failure.why}. ${entrypoint}` : failure.why,
    fix: `${describeWay(facts)}; set \`manage\` if the image starts Django commands differently`,
  })
}

/** The file of a missing module, if it belongs to a package of the checkout; undefined for other modules. */
function findLacking(seen: string, files: readonly string[]): string | undefined {
  const [, name = ''] = /No module named '?(\w+(?:\.\w+)*)/.exec(seen) ?? []
  const [first = '', ...rest] = name.split('.')
  // A folder without `__init__.py` may only have the name of a package, such as `docker/redis`.
  const end = rest.length > 0 ? '.py' : '/__init__.py'
  const sibling = files.find((file) => `/${file}`.includes(`/${first}/`) && file.endsWith(end))
  if (first === '' || sibling === undefined) return undefined
  const folder = sibling.slice(0, `/${sibling}`.indexOf(`/${first}/`)) + first
  return rest.length > 0 ? `${[folder, ...rest].join('/')}.py` : folder
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
