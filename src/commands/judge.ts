import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readEnvFile } from '../compose/env-file.ts'
import { neededGroups } from '../compose/group.ts'
import { possibleNames } from '../compose/name.ts'
import { activeServices, chooseProfiles } from '../compose/role.ts'
import { interpolate } from '../compose/variable.ts'
import { describeOperation, type Operation } from '../deployment/operation.ts'
import { breaksOldCode, chooseCourse, describeCourse, isApproved } from '../deployment/order.ts'
import { readJudgement, readOtherPending, type Judgement } from '../django/document.ts'
import { DEFAULT, labelOf } from '../django/label.ts'
import { judgeAll, type Judged } from '../django/verdict/judge.ts'
import { showMigration, warningsOf } from '../django/verdict/show.ts'
import { explainUnapproved } from '../guard/approval.ts'
import { explainUnmigrated } from '../guard/migrations.ts'
import { warning } from '../github/annotation.ts'
import { findNewMigrations, readBase, type Base, type NewFile } from '../github/base.ts'
import { askImage, standInFor } from '../image/ask.ts'
import type { DjangoImage } from '../image/inspect.ts'
import { buildImages } from '../image/make.ts'
import { count } from '../image/progress.ts'
import { checkBuildVariables, valuesFor } from '../image/variable.ts'
import type { JudgeInputs } from '../inputs/contract.ts'
import { info, show, showDetail } from '../report/log.ts'
import type { Outcome } from '../report/report.ts'
import { namesIn, readCheckout, type Checkout } from './checkout.ts'
import type { Context } from './context.ts'
import { checkDrift, describePending, logVerdicts } from './database.ts'
import { buildCheckOf } from './images.ts'

/** On a pull request: judges the migrations that its base lacks. Connects to no host and no database. */
export async function judge(inputs: JudgeInputs, context: Context): Promise<Outcome> {
  const { checkout, base, files } = await context.step(
    'Inspect',
    () => inspectPullRequest(inputs, context),
    (found) => `${found.checkout.project.files.join(', ')}, ${count(found.files.length, 'new migration')}`,
  )
  const image = await buildForJudging(checkout, inputs, context)
  const verdicts = await context.step(
    'Plan',
    () => judgeNew(checkout, image, files, inputs, context),
    ({ judged, vendor }) => `${describePending(judged.length)}, judged for ${vendor}`,
  )
  showVerdicts(verdicts, base, image, inputs, context)
  checkVerdicts(verdicts, base, files, checkout, inputs)
  return { kind: 'planned' }
}

async function inspectPullRequest(
  inputs: JudgeInputs,
  context: Context,
): Promise<{ checkout: Checkout; base: Base; files: readonly NewFile[] }> {
  const checkout = await readCheckout(inputs, context)
  context.found({ project: nameProject(checkout, inputs, context) })
  const base = await readBase(context.runner.eventPath)
  return { checkout, base, files: await findNewMigrations(context.run, context.runner.workspace, base) }
}

/** The project's name on a host that records no other name. */
function nameProject(checkout: Checkout, inputs: JudgeInputs, { runner }: Context): string | undefined {
  return possibleNames(namesIn(checkout, inputs, runner))[0]
}

/** Builds the same images as a deploy, without pushing them. */
async function buildForJudging(checkout: Checkout, inputs: JudgeInputs, context: Context): Promise<DjangoImage> {
  const { run, runner, folder, environment: env, signal, step } = context
  const { project, settings, commit, variables } = checkout
  const profiles = chooseProfiles(inputs.profiles, settings?.get('COMPOSE_PROFILES'))
  const active = activeServices(project, inputs.services, profiles).map(({ name }) => name)
  const groups = neededGroups(checkout.groups, active)
  checkBuildVariables(buildCheckOf(checkout, groups, [], inputs, context))
  const facts = {
    project,
    active: [...project.services.keys()],
    groups,
    variables,
    workspace: runner.workspace,
    set: inputs.set,
    services: inputs.services,
    manage: inputs.manage,
    commit,
  }
  return await buildImages(facts, { run, env, temp: folder, signal, lines: { show, showDetail }, step })
}

type Verdicts = { found: Judgement; judged: readonly Judged[]; vendor: string }

/** The verdicts on the new migrations, assuming that all others are applied. */
async function judgeNew(
  checkout: Checkout,
  image: DjangoImage,
  files: readonly NewFile[],
  { manage, databases }: JudgeInputs,
  { run, runner, folder, environment: env, assets }: Context,
): Promise<Verdicts> {
  const question = {
    DEPLOY_DJANGO_NEW: files.map(({ name, digest }) => `${name}=${digest}`).join(' '),
    DEPLOY_DJANGO_DATABASES: databases.join(' '),
  }
  const document = await askImage(
    {
      image,
      manage,
      probe: assets.probe.toString(),
      verb: 'judge',
      question,
      variables: variablesOf(checkout, image, runner.workspace),
    },
    { run, env, temp: folder },
  )
  const found = readJudgement(document)
  // Settings without DATABASES do not name the vendor.
  const vendor = found.vendor === 'unknown' ? 'postgresql' : found.vendor
  const judged = judgeAll(document, vendor)
  const known = [DEFAULT, ...readOtherPending(document).map(({ alias }) => alias)]
  databases
    .filter((alias) => !known.includes(alias))
    .forEach((alias) =>
      warning(`Nothing is judged for the database ${alias}: DATABASES of the settings does not have it`),
    )
  logVerdicts(judged)
  const left = files.filter(({ digest }) => !judged.some(({ source }) => source === digest))
  left.forEach(({ path }) =>
    info(`${path} is not judged: it is not in the image, or it is a squash of other migrations`),
  )
  return { found, judged, vendor }
}

/** The container's variables from the Compose file and the inputs. A placeholder stands in for an unknown value. */
function variablesOf(
  { project, settings, variables }: Checkout,
  image: DjangoImage,
  workspace: string,
): Map<string, string> {
  const [service = ''] = image.target.group.services
  const { envFiles = [], environment = new Map<string, string | undefined>() } = project.services.get(service) ?? {}
  const known = envFiles
    .map((file) => join(workspace, project.folder, file))
    .filter((path) => !path.endsWith('/.env') && existsSync(path))
    .flatMap((path) => [...readEnvFile(readFileSync(path, 'utf8')).values])
  const own = [...environment].map(([name, text]): [string, string] => [
    name,
    interpolate(text ?? `\${${name}}`, valuesFor(variables)) ?? standInFor(name),
  ])
  return new Map([...known, ...(settings ?? []), ...own])
}

/** Prints the plan for a deploy of the pull request. The outputs and the summary show the same plan. */
function showVerdicts(
  { found, judged }: Verdicts,
  base: Base,
  image: DjangoImage,
  inputs: JudgeInputs,
  context: Context,
): void {
  const course = chooseFor(judged, inputs)
  const operations: Operation[] = judged.map((each) => ({
    step: 'migrate',
    object: labelOf(each),
    reason: `not in ${base.branch}`,
  }))
  if (course.order === 'stopped') {
    const names = judged.filter(breaksOldCode).map(labelOf)
    const reason = names.length === 0 ? 'the input `migrate: stopped`' : `its code cannot work with ${names.join(', ')}`
    operations.unshift({ step: 'stop', object: image.target.group.services.join(', '), reason })
  }
  operations.forEach((operation) => info(`  ${describeOperation(operation)}`))
  const sentences = judged.length === 0 ? [] : describeCourse(course, PULL_REQUEST, base.branch)
  sentences.forEach((text) => info(text))
  context.found({
    course: sentences,
    plan: {
      digest: found.digest,
      order: course.order,
      return: course.return,
      operations,
      pending: judged.map((each) => showMigration(each, isApproved(each, inputs.acceptMigrations))),
      unknown: [],
      drift: found.drift,
    },
  })
}

/** Stops where a deploy would stop. Other verdicts become annotations on their lines. */
function checkVerdicts(
  { found, judged }: Verdicts,
  base: Base,
  files: readonly NewFile[],
  { repository }: Checkout,
  inputs: JudgeInputs,
): void {
  if (found.unmigrated.length > 0) throw explainUnmigrated(found.unmigrated, repository)
  const { drift } = found
  if (drift.length > 0) checkDrift({ drift, repository, manage: inputs.manage }, inputs.drift)
  const course = chooseFor(judged, inputs)
  const versions = { version: PULL_REQUEST, serving: base.branch }
  for (const each of judged) {
    const file = files.find(({ digest }) => digest === each.source)?.path
    const facts = { ...versions, order: course.order, isApproved: isApproved(each, inputs.acceptMigrations) }
    // The error below reports these.
    if (course.unapproved.includes(each)) continue
    for (const { text, line } of warningsOf(each, facts)) warning(text, file === undefined ? undefined : { file, line })
  }
  const { unapproved } = course
  if (unapproved.length > 0) throw explainUnapproved({ unapproved, judged, repository, ...versions })
}

const PULL_REQUEST = 'this pull request'

function chooseFor(judged: readonly Judged[], { migrate, acceptMigrations }: JudgeInputs) {
  return chooseCourse({ isMigrating: judged.length > 0, judged, migrate, isServing: true, accepted: acceptMigrations })
}
