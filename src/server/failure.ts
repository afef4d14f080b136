import {
  type FitReport,
  type ProbeError,
  readFitReport,
  readHttpReport,
  readMigrateReport,
  readProbeError,
  readServing,
} from '../django/document.ts'
import { DeployError, type Code, type Problem } from '../errors.ts'
import { explainServing } from '../guard/serving.ts'
import type { Finished } from '../process.ts'
import { explainDockerError } from './docker-error.ts'
import { explainExit, isKnownExit } from './exit.ts'
import { explanations } from './explanation.ts'
import type { Ending, Revert } from './follow.ts'

/** A failure before the transaction: of `stage`, `plan` or `begin`. The exit codes are those of transaction.sh and probe.py. */
export function explainStage(finished: Finished): DeployError {
  const lines = finished.stderr.trim().split('\n')
  const tail = lines.slice(-8).join('\n')
  return new DeployError(...explainExit(finished.code, saidIn(lines) ?? tail, tail))
}

/** What `die` of transaction.sh said. */
function saidIn(lines: readonly string[]): string | undefined {
  return lines.findLast((line) => line.startsWith('deploy-django: '))?.slice('deploy-django: '.length)
}

/** A probe that did not do what was asked, with what it said about it. */
export function explainProbe(
  code: number,
  document: Parameters<typeof readProbeError>[0],
  stderr: string,
): DeployError {
  // These codes are the server's own: it did not even ask.
  if (code >= 30) return explainStage({ code, stdout: '', stderr })
  const error = readProbeError(document)
  const exit = error?.exit ?? code
  const tail = stderr.trim().split('\n').slice(-8).join('\n')
  const seen = error ? wordsOf(error) : tail
  if (error && !isKnownExit(exit)) {
    return new DeployError('internal', {
      what: 'The probe, which asks Django about the migrations, failed',
      seen,
      why: 'it met an error that it does not know, perhaps from a new version of Django or of the database',
      fix: 'fix what the traceback above names in the app; if it names nothing of the app, report it as an issue of the action',
    })
  }
  const serving = document && readServing(document)
  // Settings for development mostly need what a production image has not.
  if (serving) return explainServing(serving, seen)
  const refusal = document ? undefined : refusalIn(tail)
  if (refusal) return refusal
  // Without a document Django did not get as far as our code, whatever the exit code.
  return new DeployError(...explainExit(document ? exit : explanations.not_importable.exit, seen, tail))
}

const wordsOf = ({ message, detail }: ProbeError): string => [message, detail].filter((part) => part).join('\n')

/** What Docker said instead of starting Django; a program that it does not find may be the one in `manage`. */
function refusalIn(tail: string): DeployError | undefined {
  const known = explainDockerError(tail)
  if (known) return known[0] === 'container-exited' ? undefined : new DeployError(...known)
  const seen = tail.split('\n').findLast((line) => line.startsWith('Error response from daemon: '))
  return seen === undefined
    ? undefined
    : new DeployError('container-exited', {
        what: 'Docker on the host could not start a container of the new image',
        seen,
        why: 'a setting of the service in the Compose file does not suit the image or the host',
        fix: 'correct what Docker names in the Compose file',
      })
}

/** Why a deployment was reverted or interrupted, and what to do; undefined when it reached its goal. */
export function explainEnding(ending: Ending): DeployError | undefined {
  if (ending.word === 'committed' || ending.word === 'unchanged') return undefined
  const reason = explainFailure(ending)
  if (ending.word === 'back' && reason) return reason
  if (ending.word === 'kept' && reason) return explainKept(reason)
  const tail = ending.log.slice(-12).join('\n')
  if (ending.journal.some((line) => line.step === 'back' && line.state === 'fail')) {
    const complaint = explainDockerError(tail)
    if (complaint?.[0] === 'port-left-over') return new DeployError(complaint[0], { ...complaint[1], cause: reason })
    return new DeployError('recovery-failed', {
      what: 'The deployment failed, and reverting to the release before failed as well',
      seen: tail,
      why: 'Docker on the host failed, or the images of the release before are gone',
      fix: 'fix what the lines above name, then run the job again: it finishes the revert first',
      cause: reason,
    })
  }
  return new DeployError('deployment-died', {
    what: 'The deployment on the host was interrupted',
    seen: tail,
    why: 'the host or its Docker was stopped',
    fix: 'run the job again: it finishes what is unfinished first',
    cause: reason,
  })
}

function explainKept(reason: DeployError): DeployError {
  const look = 'the new containers were kept for a look (`on-failure: keep`); the next deploy or rollback reverts first'
  return new DeployError(reason.code, {
    what: reason.what,
    seen: reason.seen,
    why: reason.why,
    cause: reason.cause,
    fix: reason.fix === undefined ? look : `${reason.fix}\n${look}`,
  })
}

function explainFailure(ending: Ending): DeployError | undefined {
  if (ending.failure === undefined) return undefined
  if (ending.failure === 'aborted') return new DeployError(...explainExit(explanations.aborted.exit, undefined, ''))
  const { step, code } = ending.failure
  const tail = lastBlock(ending.reasons).join('\n')
  return (
    explainReport(ending, code) ?? new DeployError(...explainExit(code, saidIn(ending.reasons) ?? tail, tail, step))
  )
}

/** What the probe reported says more than its exit code. */
function explainReport(ending: Ending, code: number): DeployError | undefined {
  const http = ending.documents.get('http')
  if ((code === explanations.unhealthy.exit || code === explanations.refuses.exit) && http) {
    const report = readHttpReport(http)
    return new DeployError(healthCode(report.reason), {
      what: `The new release did not become healthy: ${report.url ?? 'no address'} ${report.status === undefined ? '' : `answers ${report.status}`}`.trim(),
      seen: report.text,
      why: lastLines(ending),
      fix:
        report.fix ??
        'correct the app, or set `health-url`, `health-headers` and `health-status` to what a healthy answer looks like',
    })
  }
  const migrate = ending.documents.get('migrate')
  const failed = migrate && code === explanations.migration_failed.exit ? readMigrateReport(migrate).failed : undefined
  if (failed) {
    const what = `Migration ${failed.app}.${failed.name} failed`
    return new DeployError('migration-failed', { what, seen: failed.error, ...adviseMigration(failed) })
  }
  const fit = ending.documents.get('fit')
  if (fit && code === explanations.unfit.exit) return explainUnfit(readFitReport(fit))
  if (fit && code === explanations.old_settings.exit) return explainOldSettings(fit)
  const asked = [...ending.documents.values()].findLast((document) => readProbeError(document))
  return asked && code < 30 ? explainProbe(code, asked, '') : undefined
}

/** A database that refuses what the env files of an older release say. */
export function explainOldSettings(document: Parameters<typeof readProbeError>[0]): DeployError {
  const error = readProbeError(document)
  const { code, what, why, fix } = explanations.old_settings
  return new DeployError(code, { what, seen: error && wordsOf(error), why, fix })
}

/** If the objects exist already, the migration is right: it was started before, made by hand, or its row was lost. */
function adviseMigration({
  app,
  name,
  error,
}: {
  app: string
  name: string
  error: string
}): Pick<Problem, 'why' | 'fix'> {
  if (!/already exists|duplicate column name/i.test(error)) {
    return { fix: 'fix the migration and deploy again; what was applied before it stays and is not applied twice' }
  }
  return {
    why: 'the database has this already: an attempt that failed half-way left it behind (on MySQL, or with `atomic = False`), somebody made it by hand, or rows of django_migrations are gone',
    fix: `remove what the failed attempt left behind. If everything that the migration creates exists, mark it applied, with the \`exec\` action: python manage.py shell -c "${recordApplied(app, name)}"\nthen deploy again`,
  }
}

/** The code that serves does not know the migration yet, so `migrate --fake` cannot name it. */
export function recordApplied(app: string, name: string): string {
  const recorder = 'from django.db.migrations.recorder import MigrationRecorder as R'
  return `from django.db import connection as c; ${recorder}; R(c).record_applied('${app}', '${name}')`
}

/** The refusal of code that is older than the database, with the migrations in the way by name. */
export function explainUnfit({ ahead, problems }: Pick<FitReport, 'ahead' | 'problems'>): DeployError {
  return new DeployError('rollback-incompatible', {
    what: 'The old code is not compatible with the database as it is now',
    seen: [...problems, ...(ahead.length > 0 ? [`applied since: ${ahead.join(', ')}`] : [])].join('\n'),
    why: 'a migration since then removed or renamed what the old code uses, or added a column that it cannot fill',
    fix: 'deploy a release that fixes the problem with the newer code; or reverse these migrations first, with the `exec` action: python manage.py migrate APP NAME, with the last one to keep',
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

/** Why the release that a revert brought back cannot serve; undefined when it was found well. */
export function explainReverted({ failures, documents }: Revert): string | undefined {
  const codes = failures.map(({ code }) => code)
  const [code] = codes
  if (code === undefined) return undefined
  const fit = documents.get('fit')
  const problems = fit && codes.includes(explanations.unfit.exit) ? readFitReport(fit).problems : []
  if (problems.length > 0) return problems.slice(0, 3).join(' ')
  const http = documents.get('http')
  const isHttp = codes.includes(explanations.unhealthy.exit) || codes.includes(explanations.refuses.exit)
  if (http && isHttp) return readHttpReport(http).text
  switch (code) {
    case explanations.container_exited.exit:
      return 'a container of it does not stay up'
    case explanations.unhealthy.exit:
    case explanations.refuses.exit:
    case explanations.health_timeout.exit:
      return 'it did not become healthy'
    default:
      return explainExit(code, undefined, '')[1].what
  }
}

/** What the container printed that failed last, from the line that names it on. */
function lastBlock(lines: readonly string[]): readonly string[] {
  const start = lines.findLastIndex((line) => line.startsWith('last lines of '))
  return start < 0 || start < lines.length - LONGEST_BLOCK ? lines.slice(-12) : lines.slice(start)
}

/** A little more than `show_last_lines` on the server shows of one container. */
const LONGEST_BLOCK = 24

function lastLines({ reasons }: Ending): string | undefined {
  const lines = lastBlock(reasons).filter((line) => line.startsWith('  | '))
  return lines.length === 0 ? undefined : `the container's last lines:\n${lines.join('\n')}`
}
