/** Every stable error code and its meaning. docs/troubleshooting.md has one entry for each code. */
export const codes = {
  'input-missing': 'a required input is empty',
  'input-invalid': 'an input has a value that cannot be used',
  'pull-request': 'a pull request must not be deployed',
  'base-missing': 'the checkout does not have the commit that a pull request is compared with',
  'compose-file-missing': 'no Compose file was found in the repository',
  'compose-file-ambiguous': 'several Compose files of the same rank were found',
  'compose-invalid': 'Docker Compose does not accept the Compose file, or it cannot be deployed as it is',
  'build-failed': 'an image could not be built',
  'pull-failed': 'an image could not be pulled',
  'images-mismatch': 'the images of a `build` job are not for this checkout',
  'push-failed': 'an image could not be pushed',
  'registry-login-failed': 'the registry refused the login',
  'no-manage-py': 'no image contains manage.py',
  'several-manage-py': 'several images contain different manage.py files',
  'ssh-unreachable': 'no SSH connection to the host',
  'ssh-login-refused': 'the host does not accept the SSH key',
  'ssh-algorithms': 'ssh and the host have no algorithm in common',
  'ssh-second-factor': 'the host requires more than the SSH key',
  'ssh-account': 'the account on the host, or its password, has expired',
  'ssh-host-key': 'the host key is not one of `known-hosts`',
  'server-no-docker': 'Docker is missing on the host, or this user may not use it',
  'server-tools': 'a program that the deployment needs is missing on the host',
  'server-shell': 'the login shell of the user on the host does not run our commands',
  'server-slow': 'the host takes too long to answer',
  'server-logind': 'the host ends the processes of a user who logs out',
  'server-compose-old': 'Docker Compose on the host is too old',
  'server-architecture': 'the image was built for another processor architecture',
  'server-disk': 'the host has too little free disk space',
  'server-directory': 'this user cannot write to the folder of the project on the host',
  'server-format': 'a newer version of this action has deployed to this directory',
  'project-elsewhere': 'the project seems to run on the host already, under another name or in another folder',
  'mount-changed': 'a mount of a running container would get another source or disappear',
  'database-changed': 'the settings point to another database, or to an empty one',
  'adoption-failed': 'the running stack cannot be kept as a release',
  'variable-missing': 'the Compose file uses a variable that is set nowhere',
  'env-file-missing':
    'the Compose file names an env file, or the file of a mount or secret, that is neither shipped nor on the host',
  'file-is-folder': 'a folder is on the host where a file should be',
  'mount-denied': 'a container has no permission to use a file or folder that it mounts from the host',
  'database-not-up': 'the database does not answer yet',
  'database-refused': 'the database refuses the connection',
  'database-alias': 'the input `databases` lists a database that cannot be migrated',
  'database-not-kept': 'the database is a file inside the container',
  'django-too-old': 'Python or Django in the image is too old',
  'settings-differ': 'manage.py and the site use different settings',
  'settings-import': 'the Django settings or apps cannot be imported',
  'migrations-missing': 'apps of the image have models and no migrations',
  'models-changed': 'models changed without a migration, and `drift: error` forbids that',
  'migration-unsafe':
    'a migration must be approved, because the old release does not work after it, and it cannot be undone without loss',
  'migration-conflict': 'the migrations contradict each other or the database',
  'migration-failed': 'a migration failed',
  'migration-lock': 'a migration did not get its lock on a table, because another session holds it',
  'backup-impossible': 'the database cannot be backed up before migrations that lose data',
  'backup-failed': 'the backup before the migrations failed',
  'migration-irreversible': 'a migration cannot be reversed',
  'static-failed': 'the static files could not be collected',
  'plan-differs': 'the database changed between the plan and the migration',
  'plan-digest': 'the plan is not the one that was approved',
  'lock-busy': 'another process holds the migration lock of the database',
  'newer-run-deployed': 'a newer workflow run has already deployed',
  'health-refused': 'the app does not accept connections',
  'health-bad-request': 'the app answers the health check with 400',
  'health-https-redirect': 'the app answers the health check with a redirect to https',
  'health-server-error': 'the app answers the health check with a server error',
  'health-timeout': 'the app did not become healthy in time',
  'container-exited': 'a container of the new release ended or keeps restarting',
  'not-migrated': 'migrations are not applied after the deployment',
  'rollback-incompatible': 'the old code is not compatible with the database as it is now',
  'rollback-unknown-version': 'the version to go back to is not on the host',
  'rollback-none': 'there is no earlier release to go back to',
  'port-left-over': 'Docker keeps a port allocated that no container uses',
  'port-taken': 'a port that the release publishes is in use on the host',
  'name-taken': 'a container of another project has the name of one of its containers',
  'external-missing': 'an external network or volume of the Compose file is not on the host',
  'deployment-failed': 'a step of the deployment failed on the host',
  'deployment-died': 'the deployment on the host ended without a result',
  aborted: 'the job was cancelled',
  'recovery-failed': 'an unfinished deployment could not be finished',
  'nothing-deployed': 'nothing was deployed to this directory yet',
  'service-missing': 'no container of the service runs',
  'command-failed': 'a command in a container failed',
  'program-missing': 'a required program is not installed on the runner',
  'program-timeout': 'a program on the runner did not end in time',
  internal: 'a fault of this action itself',
} as const

/** One of the stable error codes. */
export type Code = keyof typeof codes

/** Where in the repository the mistake is, for an annotation. Lines and columns count from 1. */
export type Place = { file: string; line?: number | undefined; column?: number | undefined }

/** What a person needs to know to fix a failure. */
export type Problem = {
  /** What failed, one sentence. */
  what: string
  /** The value or output that was seen; never a secret. Blank text counts as absent, also in `why` and `fix`. */
  seen?: string | undefined
  /** The likely cause. */
  why?: string | undefined
  /** The exact change that fixes it. */
  fix?: string | undefined
  annotation?: Place | undefined
  cause?: unknown
}

/** A failure with a stable code, what failed, what was seen, the likely cause, and the fix. */
export class DeployError extends Error {
  override readonly name = 'DeployError'
  readonly code: Code
  readonly what: string
  readonly seen: string | undefined
  readonly why: string | undefined
  readonly fix: string | undefined
  readonly annotation: Place | undefined

  constructor(code: Code, problem: Problem) {
    super(problem.what, problem.cause === undefined ? {} : { cause: problem.cause })
    this.code = code
    this.what = problem.what
    this.seen = unlessBlank(problem.seen)
    this.why = unlessBlank(problem.why)
    this.fix = unlessBlank(problem.fix)
    this.annotation = problem.annotation
  }
}

/** Copies the failure with other texts, or with another place for its annotation. */
export function copyWith(failure: DeployError, change: Partial<Problem>): DeployError {
  const { code, what, seen, why, fix, annotation, cause } = failure
  return new DeployError(code, { what, seen, why, fix, annotation, cause, ...change })
}

/** Copies the failure with one more line of advice, and with another first line if `what` is given. */
export function withAdvice(failure: DeployError, advice: string, what = failure.what): DeployError {
  return copyWith(failure, { what, fix: failure.fix === undefined ? advice : `${failure.fix}\n${advice}` })
}

/** Several problems in one error, so that a user can fix them all before the next run. */
export class Problems extends Error {
  override readonly name = 'Problems'
  readonly problems: readonly DeployError[]

  constructor(problems: readonly DeployError[]) {
    super(problems.map((problem) => problem.what).join('; '))
    this.problems = problems
  }
}

/** Runs every check, then throws all their problems together. */
export function checkAll(...checks: readonly (() => void)[]): void {
  const problems = checks.flatMap((check) => {
    try {
      check()
      return []
    } catch (error) {
      if (error instanceof Problems) return error.problems
      if (error instanceof DeployError) return [error]
      throw error
    }
  })
  const [first, ...others] = problems
  if (first) throw others.length > 0 ? new Problems(problems) : first
}

/** The code under which a failure is reported. */
export function codeOf(error: unknown): Code {
  if (error instanceof DeployError) return error.code
  if (error instanceof Problems) return error.problems[0]?.code ?? 'input-invalid'
  return 'internal'
}

/** The place for the annotation; of several problems, the first one with a place. */
export function placeOf(error: unknown): Place | undefined {
  if (error instanceof Problems) return error.problems.find(({ annotation }) => annotation)?.annotation
  return error instanceof DeployError ? error.annotation : undefined
}

/** Facts about the run that the text of a failure adds. */
export type Surroundings = {
  /** A clause that says which release serves now; undefined when that is unknown. */
  serving?: string | undefined
  /** The address of docs/troubleshooting.md. */
  page?: string | undefined
  /** The command that starts manage.py. It replaces `python manage.py` in commands that a user copies. */
  manage?: readonly string[] | undefined
}

/**
 * The failure as text for the log: what failed, what serves now, the code; then seen, why, fix, causes and the docs.
 */
export function explain(error: unknown, { serving, page = TROUBLESHOOTING, manage }: Surroundings = {}): string {
  const now = serving === undefined ? '' : `; ${serving}`
  const problems = error instanceof Problems ? error.problems : [known(error)]
  const [only, ...others] = problems
  const lines =
    only && others.length === 0
      ? describe(only, manage, now)
      : [`${problems.length} things need a change${now}:`, ...problems.flatMap((problem) => describe(problem, manage))]
  const entries = [...new Set(problems.map(({ code }) => `${page}#${code}`))]
  return [...lines, field('see', entries.join('\n'))].join('\n')
}

/** Each code is a heading of this page, and therefore an anchor. */
export const TROUBLESHOOTING = 'docs/troubleshooting.md'

function known(error: unknown): DeployError {
  if (error instanceof DeployError) return error
  return new DeployError('internal', {
    what: 'Deploy Django stopped on an error that it does not know',
    seen: error instanceof Error ? (error.stack ?? error.message) : String(error),
    fix: 'run the job again with debug logging, and report the log as an issue of the action',
    cause: error instanceof Error ? error.cause : undefined,
  })
}

function unlessBlank(text: string | undefined): string | undefined {
  return text?.trim() === '' ? undefined : text
}

/** Replaces `python manage.py` by the command with which this project starts it. */
export function inProject(text: string, manage: readonly string[] | undefined): string {
  return manage === undefined ? text : text.replaceAll(/\bpython manage\.py(?= [a-z])/g, () => manage.join(' '))
}

function describe(error: DeployError, manage: readonly string[] | undefined, now = ''): string[] {
  return [`${error.what}${now} [${error.code}]`, ...details(error, manage), ...causes(error.cause, error.seen)]
}

function details(error: DeployError, manage: readonly string[] | undefined): string[] {
  const lines: string[] = []
  if (error.seen !== undefined) lines.push(field('seen', error.seen))
  if (error.why !== undefined) lines.push(field('why', error.why))
  if (error.fix !== undefined) lines.push(field('fix', inProject(error.fix, manage)))
  return lines
}

/** Skips a cause whose text `seen` already shows. */
function causes(cause: unknown, seen?: string): string[] {
  if (cause === undefined || cause === null) return []
  if (cause instanceof DeployError) return [field('cause', `${cause.what} [${cause.code}]`), ...causes(cause.cause)]
  if (cause instanceof Error && cause.message === seen) return causes(cause.cause)
  if (cause instanceof Error) return [field('cause', cause.message), ...causes(cause.cause)]
  return [field('cause', String(cause))]
}

/** Continuation lines are indented, so that a value of many lines stays below its name. */
function field(name: string, text: string): string {
  return `  ${`${name}:`.padEnd(7)}${text.trimEnd().replaceAll('\n', '\n         ')}`
}
