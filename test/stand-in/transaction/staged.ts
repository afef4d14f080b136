import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run, type Finished } from '../../../src/process.ts'
import { oneOffModel } from '../../../src/compose/one-off.ts'
import { rollbackFacts } from '../../../src/deployment/plan.ts'
import type { Adoption } from '../../../src/host/adoption.ts'
import { explanationLines } from '../../../src/host/exit.ts'
import { ROLLBACK_FACTS, type FactLines, type PlanFact, type ReleaseFact } from '../../../src/host/fact.ts'
import { endOf } from './journal.ts'
import { imageOf, script, type Service, type World } from './world.ts'

/** What a test stages: a release (or, with `target`, only a plan for one that is there). */
export type Staged = {
  id: string
  steps: readonly string[]
  target?: string
  services?: Readonly<Record<string, Service>>
  releaseFacts?: FactLines<ReleaseFact>
  planFacts?: Readonly<Partial<Record<PlanFact, string>>>
  env?: string
  /** Other env files, by their paths. */
  shipped?: Readonly<Record<string, string>>
  files?: Readonly<Record<string, string>>
  http?: boolean
  adoption?: Adoption | undefined
}

export const DEPLOY = 'recover fence data replan migrate static try swap proxy health verify commit prune'.split(' ')
/** A deploy without a pending migration. */
export const REPLACE = DEPLOY.filter((step) => step !== 'replan' && step !== 'migrate')
const ROLLBACK = 'recover fence data fit static try swap proxy health verify commit prune'.split(' ')

/** The services of a version: an app, a worker that depends on it, a database and a proxy that are not built here. */
export function services(version: string, rows: readonly string[], web: object = {}): Record<string, Service> {
  return {
    web: {
      image: imageOf(version),
      'x-migrations': rows,
      'x-check': ['CMD-SHELL', 'curl -f localhost || exit 1'],
      restart: 'always',
      labels: { caddy: 'todo.example.com' },
      ...web,
    },
    worker: { image: imageOf(version), restart: 'always' },
    db: { image: 'postgres:17', 'x-check': ['CMD', 'pg_isready', '-U', 'a b'], restart: 'always' },
    proxy: { image: 'nginx:1', 'x-nginx': true },
  }
}

/** What a release does to the services above. */
export const SERVICES = ['app 0 web', 'app 1 worker', 'front 0 proxy', 'database 0 db']

/** The facts of a release with them. */
export function factsOf(version: string): FactLines<ReleaseFact> {
  return {
    version: [version],
    project: ['todo'],
    services: SERVICES,
    images: [`web ${imageOf(version)}`, `worker ${imageOf(version)}`],
    django: ['web'],
    manage: ['python', 'manage.py'],
    try: ['auto'],
    behind: ['db 1'],
    fronts: ['proxy 80'],
    env: ['server'],
    'env-files': [],
    'optional-env-files': [],
    ...rollbackFacts({ jobs: [], static: true, try: true }),
  }
}

/** A deploy of `version`, whose code knows these rows of django_migrations. */
export function deployOf(version: string, run: number, rows: readonly string[], web: object = {}): Staged {
  const id = `${version}-${run}-1`
  return {
    id,
    steps: DEPLOY,
    services: services(version, rows, web),
    releaseFacts: factsOf(version),
    planFacts: { target: id, run: String(run), approved: rows.map((row) => `${row}=source\n`).join('') },
  }
}

/** How the database is dumped in the container of its service. */
export const DUMP = 'postgresql\ndb\ntodo\n7123\ntodo\n-\n-\n'

/** The same deployment with a backup of the database before its schema changes. */
export function withBackup(staged: Staged, lines = DUMP): Staged {
  const steps = staged.steps.flatMap((step) => (['migrate', 'unapply'].includes(step) ? ['backup', step] : [step]))
  return { ...staged, steps, planFacts: { ...staged.planFacts, backup: lines } }
}

/** The same with `try: never`: what is wrong shows only after the swap. */
export function untried(staged: Staged): Staged {
  return { ...staged, steps: staged.steps.filter((step) => step !== 'try') }
}

/** The same deploy over a stack that was started by hand. */
export function over(adoption: Adoption | undefined, staged: Staged): Staged {
  return adoption
    ? { ...staged, adoption, steps: staged.steps.flatMap((step) => (step === 'fence' ? [step, 'adopt'] : [step])) }
    : staged
}

/** A rollback to a release that is there. */
export function rollbackTo(target: string, run: number): Staged {
  return {
    id: `rollback-${target.split('-')[0]}-${run}-1`,
    steps: ROLLBACK,
    target,
    planFacts: { target, run: String(run) },
  }
}

/** The same with the reversal of what the target does not know. */
export function reversingTo(target: string, run: number): Staged {
  const steps = ROLLBACK.flatMap((step) => (step === 'fit' ? ['replan', 'stop', 'unapply', step] : [step]))
  return { ...rollbackTo(target, run), steps }
}

/** Writes an upload as the runner sends it, for `stage` to put in place. */
async function upload(world: World, staged: Staged): Promise<void> {
  const folder = join(world.directory, '.deploy/incoming', staged.id)
  const write = async (path: string, content: string): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  const lines = (items: readonly string[]): string => items.map((item) => `${item}\n`).join('')
  for (const [name, items] of Object.entries(staged.releaseFacts ?? {}))
    await write(`release/facts/${name}`, lines(items))
  if (staged.services) {
    await write('release/compose.yaml', JSON.stringify({ services: staged.services }))
    const django = staged.releaseFacts?.['django']?.[0] ?? 'web'
    const { files, networks, volumes } = oneOffModel({ services: staged.services }, django, 'todo')
    for (const { path, model } of files) await write(`release/${path}`, JSON.stringify(model))
    await write('release/facts/networks', lines(networks))
    await write('release/facts/volumes', lines(volumes))
  }
  if (staged.env !== undefined) await write('release/env/.env', staged.env)
  for (const [path, content] of Object.entries(staged.shipped ?? {})) await write(`release/env/${path}`, content)
  for (const [path, content] of Object.entries(staged.files ?? {})) await write(`files/${path}`, content)
  await write('plan/transaction.sh', script.toString())
  await write('plan/probe.py', 'the-word-of-the-probe')
  await write('plan/steps', lines(staged.steps))
  for (const name of staged.http === false ? [] : ['http', 'try'])
    await write(`plan/${name}.json`, '{"format":1,"urls":[]}')
  const facts = {
    run: '1',
    url: `https://ci/${staged.id}`,
    force: 'no',
    approved: '',
    'migrate-timeout': '3600',
    'lock-timeout': '5000',
    'health-timeout': '1',
    keep: '5',
    ...staged.planFacts,
  }
  for (const [name, value] of Object.entries(facts))
    await write(`plan/facts/${name}`, value === '' || value.endsWith('\n') ? value : `${value}\n`)
  const rollback = { ...ROLLBACK_FACTS, explanations: explanationLines(undefined), compare: ['yes'] }
  for (const [name, items] of Object.entries(rollback)) await write(`plan/rollback/facts/${name}`, lines(items))
  for (const [name, items] of Object.entries(staged.adoption?.facts ?? {}))
    await write(`plan/facts/${name}`, lines(items))
  for (const { path, content } of staged.adoption?.files ?? []) await write(path, content.toString())
}

export async function stage(world: World, staged: Staged, stdin = ''): Promise<Finished> {
  await upload(world, staged)
  const script = join(world.directory, '.deploy/incoming', staged.id, 'plan/transaction.sh')
  return run('sh', [script, 'stage', world.directory, staged.id], { env: world.env, stdin })
}

/** The engine as `begin` starts it, but in the foreground: its exit code and its log. */
export async function engine(world: World, id: string): Promise<{ code: number; log: string }> {
  // Into a file: an orphan of an engine that was killed would hold a pipe open.
  const start = 'exec sh ".deploy/plans/$2/transaction.sh" engine "$1" "$2" >>".deploy/journal/$2.log" 2>&1'
  const options = { env: world.env, cwd: world.directory, timeoutMs: 60_000 }
  const { code } = await run('sh', ['-c', start, 'sh', world.directory, id], options)
  return { code, log: await readFile(join(world.directory, '.deploy/journal', `${id}.log`), 'utf8') }
}

/** Stages and runs a transaction to its end; returns the last entry of its journal, e.g. `committed v2-2-1`. */
export async function transact(world: World, staged: Staged): Promise<string> {
  const put = await stage(world, staged)
  if (put.code !== 0) throw new Error(`stage ended with ${put.code}: ${put.stderr}`)
  await engine(world, staged.id)
  return endOf(world, staged.id)
}
