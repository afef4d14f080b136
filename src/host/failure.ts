import {
  type Compatibility,
  type HttpReport,
  type ReverseReport,
  type ProbeError,
  readCompatibility,
  readHttpReport,
  readMigrateReport,
  readProbeError,
  readServing,
} from '../django/document.ts'
import { DeployError, withAdvice, type Code, type Problem } from '../errors.ts'
import { explainServing } from '../guard/serving.ts'
import type { Finished } from '../process.ts'
import { explainDockerError } from './docker-error.ts'
import { explainExit, isKnownExit } from './exit.ts'
import { explanations } from './explanation.ts'
import type { Ending, Revert } from './follow.ts'
import { lastBlock, lastLines } from './lines.ts'
import { adviseIndexes, adviseMigration, lacksSchema, SCHEMA_ADVICE } from './migration-failure.ts'

/**
 * A failure of `stage`, `plan` or `begin`, before the deployment runs. The exit codes are those of transaction.sh and
 * probe.py.
 */
export function explainStage(finished: Finished): DeployError {
  const lines = finished.stderr.trim().split('\n')
  const tail = lines.slice(-8).join('\n')
  return new DeployError(...explainExit(finished.code, saidIn(lines) ?? tail, tail))
}

/** The message that `die` of transaction.sh printed. */
function saidIn(lines: readonly string[]): string | undefined {
  return lines.findLast((line) => line.startsWith('deploy-django: '))?.slice('deploy-django: '.length)
}

/** A failure of the probe, with the probe's own message. */
export function explainProbe(
  code: number,
  document: Parameters<typeof readProbeError>[0],
  stderr: string,
): DeployError {
  const program = document ? undefined : missingProgram(stderr)
  if (program !== undefined) return explainManage(program, stderr)
  // The script on the host has these codes: it failed before it ran the probe.
  if (code >= 30) return explainStage({ code, stdout: '', stderr })
  const error = readProbeError(document)
  const exit = error?.exit ?? code
  const tail = stderr.trim().split('\n').slice(-8).join('\n')
  const seen = error ? wordsOf(error) : tail
  if (lacksSchema(seen)) {
    return new DeployError('migration-failed', { what: 'The migrations cannot be applied', seen, ...SCHEMA_ADVICE })
  }
  if (error && !isKnownExit(exit)) {
    return new DeployError('internal', {
      what: 'The probe, which reads the migrations through Django, failed',
      seen,
      why: 'it hit an unknown error, perhaps because of a new version of Django or of the database',
      fix: 'fix the error that the traceback above shows in the app; if it shows nothing of the app, report it as an issue of the action',
    })
  }
  const serving = document && readServing(document)
  // Development settings usually need packages that a production image lacks.
  if (serving) return explainServing(serving, seen)
  const refusal = document ? undefined : refusalIn(tail)
  if (refusal) return refusal
  // Without a document Django failed before it ran our code, whatever the exit code.
  const cause = document ? undefined : firstOfChain(stderr)
  const shown = cause === undefined || seen.includes(cause) ? seen : `${cause}\n${seen}`
  const [known, problem] = explainExit(document ? exit : explanations.not_importable.exit, shown, tail)
  return new DeployError(known, { ...problem, ...(known === 'settings-import' && explainRemoved(shown, stderr)) })
}

/** The program that Docker did not find in the image; undefined when it found the program. */
export function missingProgram(text: string): string | undefined {
  return /exec: "([^"]+)": (?:executable file not found|stat .*: no such file)/.exec(text)?.[1]
}

function explainManage(program: string, stderr: string): DeployError {
  const { code, what } = explanations.not_importable
  return new DeployError(code, {
    what,
    seen: stderr
      .split('\n')
      .findLast((line) => missingProgram(line) !== undefined)
      ?.trim(),
    why: `\`manage\` (default: \`python manage.py\`) starts ${program}, which is not in the image's PATH`,
    fix: 'set `manage` to the program of the image with its path, such as `manage: /usr/bin/python3 manage.py` or `/app/.venv/bin/python manage.py`',
  })
}

/** The first exception of a chain: manage.py reports every import error as "Couldn't import Django". */
function firstOfChain(stderr: string): string | undefined {
  const [first, ...others] = stderr.split(
    /^(?:The above exception was the direct cause of|During handling of the above exception, another)/m,
  )
  return others.length === 0 ? undefined : first?.trim().split('\n').at(-1)
}

const REMOVED = /No module named '?((?:distutils|imp|asyncore|asynchat|smtpd|cgi|cgitb|crypt|imghdr|pipes|telnetlib)\b)/

/** The fix when an old Django or package needs a module that newer versions of Python lack. */
function explainRemoved(seen: string, stderr: string): Partial<Problem> {
  const module = REMOVED.exec(seen)?.[1]
  if (module === undefined) return {}
  const version = /\/python(3\.\d+)\//.exec(stderr)?.[1]
  const python = version === undefined ? 'the Python of the image' : `Python ${version}, which the image has,`
  return {
    why: `${python} no longer includes the module ${module}, which this Django or a package needs`,
    fix: 'use an older Python in the Dockerfile (`FROM python:3.9` runs Django 2.2 to 4.2), or a newer Django or package in the requirements',
  }
}

const wordsOf = ({ message, detail }: ProbeError): string => [message, detail].filter((part) => part).join('\n')

/**
 * Docker's error when it could not start Django. A missing program is left out: `manage` may name the wrong one.
 */
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
        fix: 'correct the setting that Docker names in the Compose file',
      })
}

/** The failure of a deployment that was reverted or interrupted; undefined when it reached its goal. */
export function explainEnding(ending: Ending): DeployError | undefined {
  if (ending.word === 'unchanged') return undefined
  const reason = explainFailure(ending)
  if (ending.word === 'committed') return reason && isLeftUndone(ending) ? explainStay(reason) : undefined
  if (ending.word === 'back' && reason) return reason
  if (ending.word === 'forward') return reason ? explainStay(reason) : undefined
  if (ending.word === 'kept' && reason) return explainKept(reason, ending.failure)
  const tail = ending.log.slice(-12).join('\n')
  if (ending.journal.some((line) => line.step === 'back' && line.state === 'fail')) {
    const complaint = explainDockerError(tail)
    if (complaint?.[0] === 'port-left-over') return new DeployError(complaint[0], { ...complaint[1], cause: reason })
    return new DeployError('recovery-failed', {
      what: 'The deployment failed, and reverting to the previous release failed as well',
      seen: tail,
      why: 'Docker on the host failed, or the images of the previous release are gone',
      fix: 'fix the error in the lines above, then run the job again: it finishes the revert first',
      cause: reason,
    })
  }
  return new DeployError('deployment-died', {
    what: 'The deployment on the host was interrupted',
    seen: tail,
    why: 'the host or its Docker was stopped',
    fix: 'run the job again: it first finishes the interrupted deployment',
    cause: reason,
  })
}

/**
 * The step whose failure a deployment overcame by going forward, because no revert was possible; undefined without one.
 */
function findOvercome({ failure, journal }: Ending): string | undefined {
  if (failure === undefined || failure === 'aborted') return undefined
  return journal.some(({ step }) => step === 'forward') ? failure.step : undefined
}

/**
 * Whether a deployment went forward over a failed step that has not succeeded since. After the swap, a trial no longer
 * matters.
 */
function isLeftUndone(ending: Ending): boolean {
  const step = findOvercome(ending)
  if (step === undefined || step === 'try') return false
  return !ending.journal.some((line) => line.step === step && line.state === 'end')
}

/** The failure of a step before the release was found healthy; undefined without one. */
export function explainOvercome(ending: Ending): string | undefined {
  if (ending.word !== 'committed' || findOvercome(ending) === undefined || isLeftUndone(ending)) return undefined
  const reason = explainFailure(ending)
  if (!reason) return undefined
  const why = 'A revert was impossible, so the release was started anyway, and it passed its checks'
  return [`${reason.what}. ${why}`, reason.seen].filter((text) => text).join('\n')
}

/** No revert is possible, so only a newer release repairs this. */
function explainStay(reason: DeployError): DeployError {
  const why = 'there was no revert, because the old code cannot work with a migration that is applied'
  return withAdvice(reason, `${why}: deploy a corrected version over it`)
}

/** Why the release that stays does not serve; undefined when it is healthy. */
export function explainForward({ journal, documents }: Ending): string | undefined {
  const checks = journal.filter(({ step, state }) => step === 'health' && (state === 'end' || state === 'fail'))
  const last = checks.at(-1)
  if (last?.state === 'end') return undefined
  const failures = last ? [{ step: last.step, code: Number(last.detail) }] : []
  return explainReverted({ seconds: undefined, failures, documents }) ?? 'it was not checked'
}

function explainKept(reason: DeployError, failure: Ending['failure']): DeployError {
  const isTrial = failure !== 'aborted' && failure?.step === 'try'
  const kept = isTrial ? 'its trial container, `PROJECT-try`, was' : 'the new containers were'
  return withAdvice(
    reason,
    `${kept} kept for inspection (\`on-failure: keep\`); the next deploy or rollback reverts first`,
  )
}

/** Failures that the release did not cause. */
const NO_VERDICT: readonly number[] = [explanations.aborted.exit, explanations.docker_away.exit]

function explainTrial(reason: DeployError): DeployError {
  return withAdvice(
    reason,
    'if it fails only because it runs beside the release that serves, set `try: never`',
    `${reason.what} (in a trial container, before the swap)`,
  )
}

function explainFailure(ending: Ending): DeployError | undefined {
  if (ending.failure === undefined) return undefined
  if (ending.failure === 'aborted') return new DeployError(...explainExit(explanations.aborted.exit, undefined, ''))
  const { step, code } = ending.failure
  const tail = lastBlock(ending.reasons).join('\n')
  const reason =
    explainReport(ending, code) ??
    (code === explanations.health_timeout.exit ? explainHealthCommand(ending.reasons, tail) : undefined) ??
    new DeployError(...explainExit(code, saidIn(ending.reasons) ?? tail, tail, step))
  return step === 'try' && !NO_VERDICT.includes(code) ? explainTrial(reason) : reason
}

/** The failure that a health command's output explains; undefined when the output does not explain it. */
function explainHealthCommand(reasons: readonly string[], seen: string): DeployError | undefined {
  const line = reasons.findLast((text) => /^the health command of \S+ says: /.test(text))
  const [, service, said = ''] = /^the health command of (\S+) says: (.*)/.exec(line ?? '') ?? []
  if (service === undefined) return undefined
  const [, status] = /(?:error|status|HTTP\/[\d.]+)\D{0,20}\b([45]\d\d)\b/i.exec(said) ?? []
  if (status === '400' || /\b400\b.*Bad Request/i.test(said)) {
    return new DeployError('health-bad-request', {
      what: `The new release did not become healthy: the health command of ${service} gets the answer 400`,
      seen,
      why: 'Django answers 400 to a Host that is not in ALLOWED_HOSTS',
      fix: 'add the host that the health command requests, such as `127.0.0.1` or `localhost`, to ALLOWED_HOSTS; or let the command send the domain of the site, such as `curl -f -H "Host: shop.example.com" http://127.0.0.1:8000/`',
    })
  }
  if (status?.startsWith('5')) {
    return new DeployError('health-server-error', {
      what: `The new release did not become healthy: the health command of ${service} gets the answer ${status}`,
      seen,
      why: 'the app, or something that it needs such as the database or the cache, fails',
      fix: 'fix the error in the log of the service; with DEBUG = False Django logs errors only if LOGGING sends them to the console',
    })
  }
  if (!/connection refused|errno 111|failed to connect|could(?:n't| not) connect/i.test(said)) return undefined
  const { code, what, fix } = explanations.health_timeout
  return new DeployError(code, {
    what,
    seen,
    why: `the process of ${service} runs, but nothing listens where its health command asks: it hangs while it starts (an import, a connection to something that does not answer), or it listens on another port`,
    fix,
  })
}

/** The probe's exit codes for an HTTP answer other than the wanted one. */
const HTTP_EXITS: readonly number[] = [
  explanations.unhealthy.exit,
  explanations.refuses.exit,
  explanations.front_fails.exit,
]

/** Prefers the probe's report, which says more than its exit code. */
function explainReport(ending: Ending, code: number): DeployError | undefined {
  const http = ending.documents.get('http')
  if (HTTP_EXITS.includes(code) && http) {
    const report = readHttpReport(http)
    return new DeployError(healthCode(report.reason), {
      what: `The new release did not become healthy: ${report.url ?? 'no address'} ${report.status === undefined ? '' : `answers ${report.status}`}`.trim(),
      seen: report.text,
      why: lastLines(ending.reasons, isOfBoth(report) ? 2 : 1),
      fix:
        report.fix ??
        'correct the app, or set `health-url`, `health-headers` and `health-status` so that they describe a healthy answer',
    })
  }
  if (code === explanations.no_http.exit && http) {
    const { text: seen, fix } = readHttpReport(http)
    // Nothing listens, so the app is still starting.
    if (fix !== undefined) {
      const { code: known, what } = explanations.health_timeout
      return new DeployError(known, { what, seen, why: lastLines(ending.reasons, 1), fix })
    }
  }
  const locked = [...ending.documents.values()].map(readProbeError).find((error) => error?.kind === 'migration-lock')
  if (locked?.exit === code) return explainLocked(locked)
  const migrate = ending.documents.get('migrate')
  const report = migrate && code === explanations.migration_failed.exit ? readMigrateReport(migrate) : undefined
  if (report?.failed) {
    const { failed, invalid, behind } = report
    const where = failed.database === undefined ? '' : ` in the database ${failed.database}`
    const what = `Migration ${failed.app}.${failed.name} failed${where}`
    const isUnapplied = ending.revert?.documents.has('unapply') ?? false
    const advice = invalid.length > 0 ? adviseIndexes(invalid) : adviseMigration(failed, isUnapplied, ending.serves)
    const seen = behind === undefined ? failed.error : `${failed.error}\nthese schemas lack migrations: ${behind}`
    return new DeployError('migration-failed', { what, seen, ...advice })
  }
  const found = ending.documents.get('fit')
  if (found && code === explanations.unfit.exit) return explainIncompatible(readCompatibility(found))
  if (found && code === explanations.old_settings.exit) return explainOldSettings(found)
  const asked = [...ending.documents.values()].findLast((document) => readProbeError(document))
  return asked && code < 30 ? explainProbe(code, asked, '') : undefined
}

/** The failure of a database that refuses the credentials in the env files of an older release. */
export function explainOldSettings(document: Parameters<typeof readProbeError>[0]): DeployError {
  const error = readProbeError(document)
  const { code, what, why, fix } = explanations.old_settings
  return new DeployError(code, { what, seen: error && wordsOf(error), why, fix })
}

function explainLocked({ message, detail }: ProbeError): DeployError {
  return new DeployError('migration-lock', {
    what: message,
    seen: detail,
    why: 'the session that is named keeps a transaction open, in which it used the table',
    fix: 'close the program that opened that transaction, or end the session with `SELECT pg_terminate_backend(PROCESS);` as its own database user, as a member of pg_signal_backend, or as a superuser; then run the job again. `migrate-lock-timeout` is the time of each try',
  })
}

/** What a reversal unapplies and loses, and why it is impossible. */
type Reversibility = Omit<ReverseReport, 'database' | 'dump'>

/** The error for code that is older than the database. It names the migrations applied since. */
export function explainIncompatible(
  { ahead, problems }: Pick<Compatibility, 'ahead' | 'problems'>,
  reversal?: Reversibility,
): DeployError {
  const never = reversal && whyIrreversible(reversal)
  // Rows that neither release knows are older than both, such as those of a squash whose parts are gone.
  const since = ahead.filter((name) => !reversal?.stays.includes(name))
  const isPossible = reversal && reversal.unapply.length > 0 && never?.length === 0
  const stepwise = reversal && reversal.rewritten.length > 0 ? `${STEPWISE}; or ` : ''
  const reverse = isPossible
    ? `set \`reverse-migrations: true\`: it unapplies ${namesOf(reversal)}, ${describeLosses(reversal)}; or `
    : stepwise
  return new DeployError('rollback-incompatible', {
    what: 'The old code is not compatible with the database as it is now',
    seen: [
      ...problems,
      ...(since.length > 0 ? [`applied since: ${since.join(', ')}`] : []),
      ...(never ?? []).map((line) => `not reversible: ${line}`),
    ].join('\n'),
    why: 'a migration since then removed or renamed what the old code uses, or added a column that it cannot fill',
    fix: reverse + FORWARD,
  })
}

/** The error of `reverse-migrations`. It names each operation that cannot be reversed. */
export function explainIrreversible(reversal: Reversibility): DeployError {
  const { code, what, fix: other } = explanations.irreversible
  const fix = reversal.rewritten.length > 0 ? `${STEPWISE}; or ${FORWARD}` : other
  return new DeployError(code, { what, seen: whyIrreversible(reversal).join('\n'), fix })
}

const FORWARD = 'fix the problem in the newer code, and deploy it as a new release'

/** After a finished squash no operation lacks a reverse, but only the release in between has both histories. */
const STEPWISE =
  'roll back release by release: first to the newest release that still has both the squash and the migrations that it replaces, then from there further'

const whyIrreversible = ({ rewritten, irreversible, blocked }: Reversibility): readonly string[] => [
  ...rewritten,
  ...irreversible,
  ...blocked,
]

const namesOf = ({ unapply }: Reversibility): string => unapply.map(({ app, name }) => `${app}.${name}`).join(', ')

/** Each loss starts with its migration, which the text before has named already if there is only one. */
function describeLosses(reversal: Reversibility): string {
  const { unapply, losses } = reversal
  if (losses.length === 0) return 'nothing is lost'
  const known = unapply.length === 1 ? `${namesOf(reversal)}: ` : ''
  return `which loses ${losses.map((loss) => (loss.startsWith(known) ? loss.slice(known.length) : loss)).join('; ')}`
}

function healthCode(reason: string | undefined): Code {
  switch (reason) {
    case 'refused':
    case 'loopback':
    case 'unpublished':
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

/** Why the release that a revert brought back cannot serve; undefined when it passed its checks. */
export function explainReverted({ failures, documents }: Revert): string | undefined {
  const codes = failures.map(({ code }) => code)
  const [code] = codes
  if (code === undefined) return undefined
  const found = documents.get('fit')
  const problems = found && codes.includes(explanations.unfit.exit) ? readCompatibility(found).problems : []
  if (problems.length > 0) return problems.slice(0, 3).join(' ')
  const http = documents.get('http')
  const isHttp = codes.some((each) => HTTP_EXITS.includes(each))
  if (http && isHttp) return readHttpReport(http).text
  switch (code) {
    case explanations.container_exited.exit:
      return 'a container of it does not stay up'
    case explanations.unhealthy.exit:
    case explanations.refuses.exit:
    case explanations.front_fails.exit:
    case explanations.health_timeout.exit:
      return 'it did not become healthy'
    default:
      return explainExit(code, undefined, '')[1].what
  }
}

/** Whether the log of Django may explain the answer of a service in front of it: one that does not reach it has its own. */
function isOfBoth({ status }: HttpReport): boolean {
  return status !== undefined && status >= 500 && ![502, 503, 504].includes(status)
}
