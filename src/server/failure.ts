import { readFitReport, readHttpReport, readMigrateReport, readProbeError } from '../django/document.ts'
import { DeployError, type Code, type Problem } from '../errors.ts'
import type { Finished } from '../process.ts'
import type { Ending } from './follow.ts'

/** A failure before the transaction: of `stage`, `plan` or `begin`. The exit codes are those of transaction.sh and probe.py. */
export function explainStage(finished: Finished): DeployError {
  const said = finished.stderr
    .split('\n')
    .findLast((line) => line.startsWith('deploy-django: '))
    ?.slice('deploy-django: '.length)
  const rest = finished.stderr.trim().split('\n').slice(-8).join('\n')
  return new DeployError(...explainCode(finished.code, said ?? rest, rest))
}

/** A probe that did not do what was asked, with what it said about it. */
export function explainProbe(
  code: number,
  document: Parameters<typeof readProbeError>[0],
  stderr: string,
): DeployError {
  const error = readProbeError(document)
  const tail = stderr.trim().split('\n').slice(-8).join('\n')
  const seen = error ? [error.message, error.detail].filter((part) => part).join('\n') : tail
  // Without a document Django did not get as far as our code, whatever the exit code.
  return new DeployError(...explainCode(document || code >= 30 ? code : 18, seen, tail))
}

/** Why a transaction went back, and what to do; undefined when it reached its goal. */
export function explainEnding(ending: Ending): DeployError | undefined {
  if (ending.word === 'committed' || ending.word === 'unchanged') return undefined
  if (ending.failure === 'aborted') {
    return new DeployError('aborted', {
      what: 'The job was cancelled, so the deployment turned back at its next safe point',
      fix: 'run the job again to deploy',
    })
  }
  if (ending.failure === undefined) {
    return new DeployError('transaction-died', {
      what: 'The deployment on the server was interrupted',
      seen: ending.log.slice(-5).join('\n'),
      why: 'the server or its Docker was stopped',
      fix: 'run the job again: it finishes what is unfinished first',
    })
  }
  const { step, code } = ending.failure
  const said = ending.log.findLast((line) => line.startsWith('deploy-django: '))?.slice('deploy-django: '.length)
  const tail = ending.log.slice(-12).join('\n')
  return explainReport(ending, code) ?? new DeployError(...explainCode(code, said ?? tail, tail, step))
}

/** What the probe reported says more than its exit code. */
function explainReport(ending: Ending, code: number): DeployError | undefined {
  const http = ending.documents.get('http')
  if (code === 21 && http) {
    const report = readHttpReport(http)
    return new DeployError(healthCode(report.reason), {
      what: `The new release did not become healthy: ${report.url ?? 'no address'} ${report.status === undefined ? '' : `answers ${report.status}`}`.trim(),
      seen: report.text,
      why: lastLines(ending),
      fix: 'mend the app, or set `health-url`, `health-headers` and `health-status` to what a healthy answer looks like',
    })
  }
  const migrate = ending.documents.get('migrate')
  const failed = migrate && code === 17 ? readMigrateReport(migrate).failed : undefined
  if (failed) {
    return new DeployError('migration-failed', {
      what: `Migration ${failed.app}.${failed.name} failed`,
      seen: failed.error,
      fix: 'mend the migration and deploy again; what was applied before it stays and is not applied twice',
    })
  }
  const fit = ending.documents.get('fit')
  if (fit && code === 20) return explainUnfit(fit)
  const asked = [...ending.documents.values()].findLast((document) => readProbeError(document))
  return asked && code < 30 ? explainProbe(code, asked, '') : undefined
}

/** The refusal of a rollback, with the migrations in the way by name. */
export function explainUnfit(document: Parameters<typeof readFitReport>[0]): DeployError {
  const { ahead, problems } = readFitReport(document)
  return new DeployError('rollback-unfit', {
    what: 'The old code cannot live with the database as it is now',
    seen: [...problems, ...(ahead.length > 0 ? [`applied since: ${ahead.join(', ')}`] : [])].join('\n'),
    why: 'a migration since then removed or renamed what the old code uses, or added a column that it cannot fill',
    fix: 'deploy a release that mends the problem with the newer code, or reverse these migrations first',
  })
}

function healthCode(reason: string | undefined): Code {
  switch (reason) {
    case 'refused':
      return 'health-refused'
    case 'bad-request':
      return 'health-bad-request'
    case 'https-redirect':
      return 'health-https-redirect'
    case 'server-error':
      return 'health-server-error'
    default:
      return 'health-timeout'
  }
}

function lastLines(ending: Ending): string | undefined {
  const lines = ending.log.filter((line) => line.startsWith('  | '))
  return lines.length === 0 ? undefined : `the container's last lines:\n${lines.slice(-15).join('\n')}`
}

/** What an exit code of probe.py (10-29) or transaction.sh (30 and above) means; `seen` is what the program said. */
type Explanation = { code: Code; what: string; why?: string; fix?: string }

const explanations: Readonly<Record<number, Explanation>> = {
  10: {
    code: 'plan-differs',
    what: 'The database changed after the plan was made',
    why: 'another deployment or a `migrate` by hand came in between',
    fix: 'run the job again: it plans anew',
  },
  11: {
    code: 'lock-busy',
    what: 'Another process holds the migration lock of the database',
    fix: 'wait until the other migration is done and run the job again',
  },
  12: {
    code: 'database-not-up',
    what: 'The database does not answer',
    why: 'its container is stopped, or host and port are wrong',
    fix: 'start it on the server (`docker compose up -d` in the directory) or mend the settings',
  },
  13: {
    code: 'database-refused',
    what: 'The database refuses the connection',
    why: 'user, password or database name in the env file are not those of the database',
    fix: 'mend the env file; a PostgreSQL container keeps the password it was first started with',
  },
  14: {
    code: 'migration-conflict',
    what: 'The migrations contradict each other or the database',
    fix: 'run `python manage.py makemigrations --merge`, or repair the rows of django_migrations that are named here',
  },
  15: {
    code: 'migration-failed',
    what: 'The time for migrations ran out between two of them',
    fix: 'raise `migrate-timeout` and deploy again; it goes on where it stopped',
  },
  16: {
    code: 'transaction-died',
    what: 'The migration never got its word to start; nothing was migrated',
    fix: 'run the job again',
  },
  17: { code: 'migration-failed', what: 'A migration failed', fix: 'mend the migration and deploy again' },
  18: {
    code: 'settings-import',
    what: 'Django does not start in the new image',
    why: 'a variable that the settings need is missing, or an import fails',
    fix: 'add the variable to the env file on the server or to `env-file`; try `manage` if manage.py is started in another way',
  },
  19: {
    code: 'not-migrated',
    what: 'The running release is not migrated as planned',
    why: 'somebody else migrated at the same time, or the containers run other code than the image',
    fix: 'run the job again',
  },
  20: { code: 'rollback-unfit', what: 'The old code cannot live with the database as it is now' },
  21: {
    code: 'health-timeout',
    what: 'The new release did not become healthy in time',
    fix: 'see the last lines of the containers; raise `health-timeout` when the app is only slow',
  },
  46: {
    code: 'health-timeout',
    what: 'The new release did not become healthy in time',
    fix: 'see the last lines of the containers; raise `health-timeout` when the app is only slow',
  },
  31: {
    code: 'server-format',
    what: 'A newer version of this action has deployed to this directory',
    fix: 'use the newer version in this workflow as well',
  },
  32: {
    code: 'registry-login-failed',
    what: 'The registry refused the login of the server',
    fix: 'check registry-username and registry-password',
  },
  33: {
    code: 'pull-failed',
    what: 'The server could not pull an image',
    why: 'the registry is not reachable from the server, the image is gone, or the disk is full',
    fix: 'try `docker pull` with the name on the server',
  },
  34: {
    code: 'env-file-missing',
    what: 'The Compose file names an env file that is neither shipped nor on the server',
    fix: 'put it into the directory on the server, or ship it with `env-files`',
  },
  35: {
    code: 'compose-invalid',
    what: 'Docker Compose on the server does not accept the Compose file',
    fix: 'a required variable is set in `.env` on the server or in `env-file`',
  },
  36: {
    code: 'variable-missing',
    what: 'The Compose file uses variables that are set nowhere',
    why: 'Compose would make them empty: empty passwords are made this way',
    fix: 'set them in `.env` on the server or in `env-file`, or give them a default: ${NAME:-value}',
  },
  38: {
    code: 'server-no-docker',
    what: 'Docker on the server went away and did not come back',
    fix: 'start Docker on the server; the next deploy or rollback finishes what is unfinished',
  },
  40: {
    code: 'recovery-failed',
    what: 'An interrupted deployment could not be finished',
    fix: 'look at .deploy/journal on the server; run the job again',
  },
  41: {
    code: 'newer-run-deployed',
    what: 'A newer workflow run has already deployed',
    why: 'this run was started earlier, or is an old run that was started again',
    fix: 'use the rollback workflow to go back, or set `force: true`',
  },
  43: { code: 'database-not-up', what: 'A data service did not become healthy', fix: 'see its last lines above' },
  44: {
    code: 'migration-failed',
    what: "The migration's container disappeared, its result is unknown",
    fix: 'look at the database, then run the job again',
  },
  45: {
    code: 'container-exited',
    what: 'A container of the new release does not stay up',
    why: 'the program in it ends or crashes at its start',
    fix: 'see its last lines',
  },
  47: {
    code: 'container-exited',
    what: 'A container of the new release does not stay up',
    why: 'the program in it ends or crashes at its start',
    fix: 'see its last lines',
  },
  48: {
    code: 'container-exited',
    what: 'A running container is not of the new image',
    why: 'somebody else changes the containers of this project',
    fix: 'run the job again',
  },
}

/** Exit codes whose cause stands in what was printed around them, not in one line. */
const NEEDS_TAIL: readonly number[] = [21, 33, 43, 45, 46, 47]

function explainCode(code: number, said: string, tail: string, step?: string): [Code, Problem] {
  const known = explanations[code]
  const seen = NEEDS_TAIL.includes(code) ? [said, tail].filter((text) => text).join('\n') : said
  if (known) return [known.code, { ...known, seen }]
  const during = step === undefined ? '' : ` (step ${step})`
  return [
    'transaction-failed',
    { what: `The server could not do a step of the deployment${during}`, seen: tail, why: `exit code ${code}` },
  ]
}
