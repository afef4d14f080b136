import { describe, expect, test } from '@jest/globals'
import { DeployError } from '../../../src/errors.ts'
import {
  findDocument,
  readFitReport,
  readHttpReport,
  readMigrateReport,
  readPlan,
  readProbeError,
  readSettings,
} from '../../../src/django/document.ts'
import { drawer } from '../../seed.ts'

const line = (facts: object): string => JSON.stringify({ 'deploy-django': 1, ...facts }).replace(':1,', ': 1, ')
const document = (facts: object): NonNullable<ReturnType<typeof findDocument>> => {
  const found = findDocument(line(facts))
  if (!found) throw new Error('no document')
  return found
}

describe('findDocument', () => {
  const wanted = { 'deploy-django': 1, verb: 'plan' }

  test.each([
    ['alone', line({ verb: 'plan' })],
    ['behind noise and an empty line', `Loading …\n{"a": 1}\n\n${line({ verb: 'plan' })}\n`],
    ['behind an older document', `${line({ verb: 'list' })}\n${line({ verb: 'plan' })}\n`],
    ['in front of noise', `${line({ verb: 'plan' })}\nException ignored in atexit\n\n`],
    ['beside one that is not at the start of its line', `${line({ verb: 'plan' })}\n ${line({ verb: 'list' })}\n`],
  ])('%s', (_, output) => expect(findDocument(output)).toEqual(wanted))

  test.each([
    ['nothing', ''],
    ['noise', 'Traceback (most recent call last):\n  File "x"\n'],
    ['another document', '{"django": 1}\n'],
    ['a document that broke off', line({ verb: 'plan' }).slice(0, -3)],
    ['a document that ran into another line', `${line({ verb: 'plan' })} and more`],
  ])('%s is none', (_, output) => expect(findDocument(output)).toBeUndefined())

  test.each([2, 0, '1', null, [1], { a: 1 }])('format %j is of another version', (format) => {
    const output = `{"deploy-django": ${JSON.stringify(format)}, "verb": "plan"}`
    expect(() => findDocument(output)).toThrow(
      expect.objectContaining({ code: 'internal', what: expect.stringContaining('another version'), seen: output }),
    )
  })
})

describe('readPlan', () => {
  const settings = {
    allowed_hosts: ['example.org'],
    ssl_redirect: true,
    proxy_ssl_header: ['HTTP_X_FORWARDED_PROTO', 'https'],
    static: { kind: 'folder', root: '/vol/static' },
  }

  test('of a live database', () => {
    const plan = readPlan(
      document({
        verb: 'plan',
        settings,
        database: { vendor: 'postgresql', host: 'db', name: 'todo', empty: false },
        pending: [
          {
            app: 'todo',
            name: '0002_due',
            source: 'ab',
            atomic: false,
            operations: [{ kind: 'AddField', text: 'Add field due to item', reversible: true, field: 'due' }],
          },
        ],
        unknown: ['todo.0009_other'],
        unrecorded: ['todo.0001_squashed'],
        drift: ['todo: Alter field title on item'],
        problems: [{ table: 'todo_item', text: 'todo_item.late must have a value' }],
        unmigrated: [{ app: 'notes', module: 'apps.notes', installed: false }],
        serving: { manage: 'a.local', module: 'a.production', file: 'a/wsgi.py', same: false },
        elsewhere: { stats: ['hits.0001_initial'] },
        digest: 'cd',
        applied: ['todo.0001_initial'],
      }),
    )
    expect(plan).toEqual({
      kind: 'live',
      settings: {
        allowedHosts: ['example.org'],
        debug: false,
        sslRedirect: true,
        proxySslHeader: ['HTTP_X_FORWARDED_PROTO', 'https'],
        static: { kind: 'folder', root: '/vol/static' },
      },
      database: { vendor: 'postgresql', system: undefined, host: 'db', name: 'todo', empty: false },
      pending: [
        {
          app: 'todo',
          name: '0002_due',
          source: 'ab',
          atomic: false,
          operations: [{ kind: 'AddField', text: 'Add field due to item', reversible: true }],
        },
      ],
      unknown: ['todo.0009_other'],
      unrecorded: ['todo.0001_squashed'],
      drift: ['todo: Alter field title on item'],
      problems: ['todo_item.late must have a value'],
      unmigrated: [{ app: 'notes', module: 'apps.notes', installed: false }],
      serving: { manage: 'a.local', module: 'a.production', file: 'a/wsgi.py', same: false },
      elsewhere: new Map([['stats', ['hits.0001_initial']]]),
      digest: 'cd',
    })
  })

  test('of an image without a database', () => {
    const migrations = [{ app: 'todo', name: '0001_initial', source: 'ab', replaces: [] }]
    expect(
      readPlan(document({ verb: 'list', settings, migrations, models_drift: ['a: x'], digest: 'cd' })),
    ).toMatchObject({
      kind: 'offline',
      drift: ['a: x'],
      digest: 'cd',
      settings: { sslRedirect: true },
      migrations: [{ app: 'todo', name: '0001_initial', source: 'ab' }],
    })
  })

  test('leaves out what a SQLite database does not have', () => {
    const plan = readPlan(
      document({ verb: 'plan', database: { vendor: 'sqlite', host: '', name: '/data/db.sqlite3', empty: true } }),
    )
    expect(plan).toMatchObject({
      database: { vendor: 'sqlite', system: undefined, host: '', name: '/data/db.sqlite3', empty: true },
      pending: [],
    })
  })

  test('takes an operation for irreversible and a migration for atomic unless it is said', () => {
    const pending = [{ app: 'a', name: '1', source: 'x', operations: [{ kind: 'RunSQL', text: 'Raw SQL' }] }]
    expect(readPlan(document({ verb: 'plan', pending }))).toMatchObject({
      pending: [{ atomic: true, operations: [{ reversible: false }] }],
    })
  })
})

test('readMigrateReport', () => {
  const applied = [{ app: 'todo', name: '0002_due', milliseconds: 120 }]
  expect(readMigrateReport(document({ applied, failed: null, rows: [] }))).toEqual({
    applied,
    failed: undefined,
  })
  const failed = { app: 'todo', name: '0003', error: 'IntegrityError: x' }
  expect(readMigrateReport(document({ applied: [], failed })).failed).toEqual(failed)
})

test('readHttpReport', () => {
  const ok = { url: 'http://127.0.0.1:8000/', status: 200, answers: 3, reason: null, text: 'fine' }
  expect(readHttpReport(document(ok))).toEqual({ url: ok.url, status: 200, reason: undefined, text: 'fine' })
  expect(readHttpReport(document({ url: null, status: null, reason: 'nothing-speaks-http', text: '' }))).toEqual({
    url: undefined,
    status: undefined,
    reason: 'nothing-speaks-http',
    text: '',
  })
})

test('readFitReport', () => {
  const problems = [{ table: 'todo', column: 'due', kind: 'missing', text: 'todo.due is missing' }]
  expect(readFitReport(document({ problems, ahead: ['todo.0002'] }))).toEqual({
    problems: ['todo.due is missing'],
    ahead: ['todo.0002'],
  })
})

test('readProbeError', () => {
  const error = { kind: 'conflict', message: 'm', detail: '' }
  expect(readProbeError(document({ error }))).toEqual({ kind: 'conflict', message: 'm', detail: undefined })
  expect(readProbeError(document({}))).toBeUndefined()
  expect(readProbeError(undefined)).toBeUndefined()
})

test.each([
  [null, undefined],
  [
    ['HTTP_X', 'https'],
    ['HTTP_X', 'https'],
  ],
  [['HTTP_X'], undefined],
  [[1, 'https'], undefined],
  ['HTTP_X', undefined],
])('a proxy header of %j is read as %j', (given, header) => {
  expect(readSettings({ proxy_ssl_header: given }).proxySslHeader).toEqual(header)
})

describe('what a hostile image answers', () => {
  const shapes: unknown[] = [
    ...[null, true, 0, -1, 1e308, '', 'text', [], {}, [null], [[]], [{}], { length: 1 }],
    ...[
      { toString: 'x' },
      { valueOf: 1 },
      [{ toString: 1, app: {}, name: [] }],
      JSON.parse('{"__proto__": {"app": "x"}}'),
    ],
  ]
  const names = [
    ...['verb', 'settings', 'database', 'pending', 'unknown', 'drift', 'digest', 'migrations', 'applied'],
    ...['failed', 'rows', 'url', 'status', 'reason', 'text', 'problems', 'ahead', 'error'],
  ]
  const readers = [readPlan, readMigrateReport, readHttpReport, readFitReport, readProbeError, readSettings]

  test('is read as nothing, or refused: no reader breaks, and each value has the type that it says', () => {
    for (const name of names) {
      for (const shape of shapes) {
        const found = findDocument(line({ verb: 'plan', [name]: shape }))
        expect(found).toBeDefined()
        for (const reader of readers) expect(() => reader(found ?? {})).not.toThrow()
        const { applied, failed } = readMigrateReport(found ?? {})
        for (const each of applied) {
          expect([typeof each.app, typeof each.name, typeof each.milliseconds]).toEqual(['string', 'string', 'number'])
          expect(each.milliseconds).not.toBeNaN()
        }
        expect(['string', 'undefined']).toContain(typeof failed?.app)
      }
    }
  })

  test('a time that is no number counts as none', () => {
    const applied = [
      { app: 'a', name: '1', milliseconds: 'soon' },
      { app: 'a', name: '2' },
      { app: 'a', name: '3', milliseconds: {} },
    ]
    expect(readMigrateReport(document({ applied })).applied.map((each) => each.milliseconds)).toEqual([0, 0, 0])
  })

  test('whatever bytes it sends, only a DeployError comes out', () => {
    const random = drawer('bytes')
    const whole = line({ verb: 'plan', pending: [{ app: 'a', name: '1', operations: [] }], digest: 'x'.repeat(8) })
    for (let count = 0; count < 3_000; count += 1) {
      const [at, length] = [random(whole.length), random(4)]
      const insert = Array.from({ length: random(3) }, () => '{}[]",:\\n0e\n'[random(11)]).join('')
      const output = whole.slice(0, at) + insert + whole.slice(at + length)
      try {
        const found = findDocument(output)
        if (found) readPlan(found)
      } catch (error) {
        expect({ output, known: error instanceof DeployError }).toEqual({ output, known: true })
      }
    }
  })
})
