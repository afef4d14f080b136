import { inProject, type Code, type Problem } from '../errors.ts'
import { explainDockerError } from './docker-error.ts'
import { explanations, type Explanation } from './explanation.ts'
import { NEW_RELEASE, OLD_RELEASE_FIX } from './older-release.ts'

const byExit = new Map(Object.values<Explanation>(explanations).map((explanation) => [explanation.exit, explanation]))

/** Exit codes whose cause needs all the last lines, not only one. */
const NEEDS_TAIL: readonly number[] = [
  explanations.unhealthy,
  explanations.not_pulled,
  explanations.compose_invalid,
  explanations.database_unhealthy,
  explanations.container_missing,
  explanations.health_timeout,
  explanations.container_exited,
  explanations.timed_out,
  explanations.not_executable,
  explanations.program_missing,
  explanations.killed,
].map(({ exit }) => exit)

/** Whether an exit code has an explanation of its own. */
export function isKnownExit(code: number): boolean {
  return byExit.has(code)
}

/** The exit codes by name, as variables of the script on the host. */
export function exitVariables(): string {
  const own = Object.entries<Explanation>(explanations).filter(([, { exit }]) => exit < 100)
  const lines = own.map(([name, { exit }]) => `exit_${name}=${exit}`)
  return [
    '## Exit codes, made from src/host/explanation.ts.',
    '',
    '# shellcheck disable=SC2034 # not all are used here',
    lines.join(' \\\n  '),
    '',
  ].join('\n')
}

/**
 * All explanations as lines `code what: why. fix`, for a manual rollback on the host. `manage` is the command that
 * starts manage.py.
 */
export function explanationLines(manage: readonly string[] | undefined): readonly string[] {
  return [...byExit.values()].map(({ exit, what, why, fix }) => {
    const cause = why === undefined ? '' : ` (${why})`
    const own = NEW_RELEASE.test(what) ? OLD_RELEASE_FIX : (fix ?? 'see the last lines above')
    return `${exit} ${what.replace(NEW_RELEASE, 'the release')}${cause}. To fix it: ${inProject(own, manage)}`
  })
}

/**
 * The code and the text of the error for an exit code. `said` is the program's one line about it, `tail` its last
 * lines.
 */
export function explainExit(code: number, said: string | undefined, tail: string, step?: string): [Code, Problem] {
  const all = tail.includes(said ?? '') ? tail : `${said}\n${tail}`.trim()
  const known = byExit.get(code)
  const fromDocker = explainDockerError(tail)
  // The last lines of a container that ended are its own log, unless Docker could not start its program.
  if (code === explanations.container_exited.exit && fromDocker?.[0] === 'container-exited') return fromDocker
  if (fromDocker?.[0] === 'port-left-over') return fromDocker
  if (known) {
    const fix = known.fix?.replace('FOLDER', said ?? 'FOLDER')
    const cause = code === explanations.compose_invalid.exit ? explainSource(all) : {}
    return [known.code, { ...known, fix, ...cause, seen: (NEEDS_TAIL.includes(code) ? all : said) || undefined }]
  }
  if (fromDocker) return fromDocker
  const during = step === undefined ? '' : ` (step ${step})`
  return [
    'deployment-failed',
    {
      what: `A step of the deployment failed on the host${during}`,
      seen: all || undefined,
      why: `exit code ${code}`,
      fix: 'fix the error in the last lines; if they do not help, re-run the job with debug logging',
    },
  ]
}

/** Why Compose refuses the source of a mount. What no variable decides was checked before. */
function explainSource(said: string): Pick<Problem, 'why' | 'fix'> {
  const [, service, source] = /service "([^"]+)" refers to undefined volume ([^\n:]+)/.exec(said) ?? []
  if (service !== undefined) {
    return {
      why: `a variable in \`volumes:\` of ${service} has the value ${source}: without ./ or / at its start, that is the name of a volume, not a path`,
      fix: `write the path as ./${source} or with a / in the env file that sets the variable; or define the volume ${source} below \`volumes:\``,
    }
  }
  if (!said.includes('empty section between colons')) return {}
  return {
    why: 'a variable in `volumes:` is empty, so the mount has no source or no target',
    fix: 'give the variable a value in `env-file`, or in `.env` on the host; or a default in the Compose file: ${NAME:-./data}',
  }
}
