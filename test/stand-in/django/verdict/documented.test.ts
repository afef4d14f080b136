import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { inputs } from '../../../../src/inputs/contract.ts'
import { chooseCourse } from '../../../../src/deployment/order.ts'
import { readPending } from '../../../../src/django/verdict/facts.ts'
import { judge, type Judged } from '../../../../src/django/verdict/judge.ts'
import { describeVerdict, showMigration } from '../../../../src/django/verdict/show.ts'
import { startPostgres, type Postgres } from '../postgres.ts'
import { several, usual } from '../probe.ts'
import { appOf, experiment, type Seen } from './experiment.ts'
import type { Row } from './rows.ts'

// Every example of docs/migrations.md is run as it is written there.

const page = await readFile(new URL('../../../../docs/migrations.md', import.meta.url), 'utf8')

/** A block of code with its heading and the line of the verdict below it. */
type Block = { heading: string; language: string; label: string; code: string; says: string | undefined }

const blocks: readonly Block[] = page.split(/^(?=#{2,3} )/m).flatMap((section) => {
  const heading = /^#+ (.*)/.exec(section)?.[1] ?? ''
  return [...section.matchAll(/^```(\w*)\n([^]*?)^```\n(?:\nVerdict: `(.*)`)?/gm)].map(
    ([, language = '', code = '', says]) => ({
      heading,
      language,
      label: /^# (.*)/.exec(code)?.[1] ?? '',
      code,
      says,
    }),
  )
})
const python = blocks.filter(({ language }) => language === 'python')
const serving = python.find(({ label }) => label === 'shop/models.py')?.code ?? ''

/** What one deploy brings, after what the deploys before it have brought. */
type Step = {
  title: string
  isUnsafe: boolean
  says: string | undefined
  /** It is deployed with `migrate: before`. */
  isBefore: boolean
  old: readonly string[]
  new: string[]
  models: string[]
}

/** The releases of each section in order; one that begins with `Or` is another way. */
function stepsOf(): Step[] {
  const steps: Step[] = []
  let last: { heading: string; label: string; step: Step } | undefined
  for (const { heading, label, code, says } of python) {
    if (label === 'shop/models.py') continue
    const release = label.replace(/^Or r/, 'R').replace(': shop/models.py', '')
    const starts = label === 'Unsafe' || label.startsWith('Or ')
    const before = last?.heading === heading ? last : undefined
    const follows = before && before.label !== 'Unsafe' && !starts ? before.step : undefined
    const step: Step =
      starts || before?.label !== release
        ? {
            title: `${heading}: ${label}: ${code.split('\n').find((line) => !line.startsWith('#')) ?? ''}`,
            isUnsafe: label === 'Unsafe',
            says,
            isBefore: label.endsWith(', migrate: before'),
            old: follows ? [...follows.old, ...follows.new] : [],
            new: [],
            models: [],
          }
        : before.step
    if (step !== before?.step) steps.push(step)
    last = { heading, label: release, step }
    if (code.includes('(models.Model)')) step.models.push(code)
    else step.new.push(code)
  }
  return steps
}

const steps = stepsOf()
const ONLY_POSTGRESQL = /Concurrently|NotValid|ValidateConstraint|USING INDEX/

const header = [
  'import uuid',
  'from django.contrib.postgres.operations import *',
  'from django.core.validators import MaxLengthValidator, MinValueValidator',
  'from django.db import migrations, models',
  '',
].join('\n')

/** In the app `app`; a block that lists operations alone becomes a migration. */
function moduleOf(code: string, app: string): string {
  const whole = code.includes('class Migration')
    ? code
    : `class Migration(migrations.Migration):\n    operations = [\n${code}]\n`
  return `${header}${inApp(whole, app)}`
}

/** All names of the app `shop` and its tables. */
const inApp = (text: string, app: string): string => text.replace(/\bshop(?=[._"])/g, app)

function rowOf(step: Step, place: number): Row {
  const app = appOf(place)
  const first = `${header}from django.apps import apps
from django.db.migrations.state import ModelState
class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel(each.name, list(each.fields.items()), each.options, each.bases, each.managers)
        for each in map(ModelState.from_model, apps.get_app_config("${app}").get_models())
    ]
`
  return {
    title: step.title,
    old: [],
    new: [],
    breaks: [],
    reverses: 'fully',
    leaves: ['is_paid'],
    written: {
      old: [first, ...step.old.map((code) => moduleOf(code, app))],
      new: step.new.map((code) => moduleOf(code, app)),
      serving: `from django.db import models\n${inApp(serving, app)}`,
      models: step.models.map((code) => inApp(code, app)),
      isCareful: step.isBefore,
    },
  }
}

let postgres: Postgres
let folder: string

beforeAll(async () => {
  postgres = await startPostgres()
  folder = await mkdtemp(join(tmpdir(), 'documented-'))
})
afterAll(async () => {
  await postgres.stop()
  await rm(folder, { recursive: true })
})

test('every block is run', () => {
  const inputsOf = blocks.flatMap(({ language, code }) =>
    language === 'yaml' ? Object.keys(parse(code) as object) : [],
  )
  expect(inputsOf).toHaveLength(blocks.length - python.length)
  expect(inputsOf.filter((name) => !Object.hasOwn(inputs.deploy, name))).toEqual([])
  const labels = python.map(({ label }) => label)
  const known = /^(shop\/models\.py|Unsafe|(Or r|R)elease \d(, migrate: before|: shop\/models\.py)?)$/
  expect(labels.filter((label) => !known.test(label))).toEqual([])
  expect(steps.flatMap((step) => [...step.new, ...step.models])).toHaveLength(python.length - 1)
  expect(steps.filter(({ new: now }) => now.length === 0)).toEqual([])
  expect(steps.length).toBeGreaterThan(40)
})

const versions = [...new Set([usual, ...several.filter((version) => version >= '5.1')])]

describe.each([...versions.map((version) => ['postgresql', version] as const), ['sqlite', usual] as const])(
  '%s, Django %s',
  (vendor, django) => {
    const known = steps.filter((step) => vendor === 'postgresql' || !ONLY_POSTGRESQL.test(step.new.join()))
    let judged: Judged[]
    let seen: Record<string, Seen>
    beforeAll(async () => {
      const name = `documented_${django.replace('.', '_')}`
      const database = vendor === 'sqlite' ? join(folder, 'db.sqlite3') : await postgres.createDatabase(name)
      const env = { ...postgres.env, DATABASE: database }
      const found = await experiment(known.map(rowOf), django, join(folder, `${vendor}-${django}`), env)
      judged = judge(readPending(found.pending), vendor)
      seen = found.seen
    })

    test.each(known.map((step, place) => [step.title, step, appOf(place)] as const))('%s', (_, step, app) => {
      const found = seen[app]
      const migrations = judged.filter((each) => each.app === app)
      expect(found).toMatchObject({ drift: [] })
      expect(found?.error).toBeUndefined()
      if (!step.isUnsafe) {
        checkRelease(step, migrations, found)
      } else if (vendor === 'postgresql') {
        expect(migrations.map((each) => saysOf(each, app))).toEqual([step.says ?? ''])
        if (step.says?.startsWith('old code')) expect(found?.breaks).not.toEqual([])
        else expect(migrations.some(isUnsafe)).toBe(true)
      }
    })
  },
)

/** The site stays up, nobody is asked, and the code of the release before works, as that of this one. */
function checkRelease(step: Step, migrations: readonly Judged[], found: Seen | undefined): void {
  const migrate = step.isBefore ? 'before' : 'auto'
  const { order, unapproved } = chooseCourse({
    isMigrating: true,
    judged: migrations,
    migrate,
    isServing: true,
    accepted: [],
  })
  expect({ order, unapproved: unapproved.map(({ name }) => name) }).toEqual({ order: 'before', unapproved: [] })
  const said = migrations.flatMap(({ verdict }) => verdict.newCode)
  expect({ said, breaks: found?.errors, newCode: found?.newCode }).toEqual({ said: [], breaks: [], newCode: [] })
}

/** What the plan shows of the operations. */
function saysOf(migration: Judged, app: string): string {
  const { operations } = showMigration(migration, false)
  // The page leaves out locks: how long they last depends on the size of the reader's tables.
  return operations
    .map((each) => describeVerdict({ ...each, locks: [] }))
    .join('; ')
    .replaceAll(`${app}_`, 'shop_')
}

const isUnsafe = ({ verdict }: Judged): boolean =>
  verdict.reverses === 'no' ||
  verdict.locks.some(({ mode, work }) => mode !== 'SHARE UPDATE EXCLUSIVE' && work === 'index')
