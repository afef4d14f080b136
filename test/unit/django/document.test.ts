import { describe, expect, test } from '@jest/globals'
import { DeployError } from '../../../src/errors.ts'
import {
  findDocument,
  readCompatibility,
  readHttpReport,
  readMigrateReport,
  readPlan,
  readRows,
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
    debug: false,
    static: { kind: 'folder', root: '/vol/static' },
  }
  const database = { vendor: 'sqlite', system: null, host: '', name: '/data/db.sqlite3', empty: true }
  const nothing = {
    settings,
    database,
    serving: null,
    digest: 'cd',
    pending: [],
    unknown: [],
    unrecorded: [],
    invalid: [],
    dump: {},
    drift: [],
    problems: [],
    unmigrated: [],
    elsewhere: {},
  }

  test('of a live database', () => {
    const plan = readPlan(
      document({
        verb: 'plan',
        settings,
        database: { vendor: 'postgresql', host: 'db', name: 'todo', empty: false },
        dump: { bytes: 8192, user: 'ada', server: 17, client: null },
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
        invalid: [{ name: 'todo_due', table: 'todo_item', fix: 'DROP INDEX "todo_due";' }],
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
      dump: { sizeBytes: 8192, user: 'ada', serverMajor: 17, client: undefined, isPooled: undefined },
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
      invalid: [{ name: 'todo_due', table: 'todo_item', fix: 'DROP INDEX "todo_due";' }],
      drift: ['todo: Alter field title on item'],
      problems: ['todo_item.late must have a value'],
      unmigrated: [{ app: 'notes', module: 'apps.notes', installed: false }],
      serving: { manage: 'a.local', module: 'a.production', file: 'a/wsgi.py', same: false },
      elsewhere: new Map([['stats', ['hits.0001_initial']]]),
      digest: 'cd',
      others: [],
    })
  })

  test('of an image without a database', () => {
    const migrations = [{ app: 'todo', name: '0001_initial', source: 'ab', replaces: [] }]
    expect(readPlan(document({ ...nothing, verb: 'list', migrations, models_drift: ['a: x'] }))).toMatchObject({
      kind: 'offline',
      drift: ['a: x'],
      digest: 'cd',
      settings: { sslRedirect: true },
      migrations: [{ app: 'todo', name: '0001_initial', source: 'ab' }],
    })
  })

  const archive = { ...database, alias: 'archive', name: '/data/archive.sqlite3' }
  const pending = { app: 'todo', name: '0002_due', source: 'ab', atomic: true, operations: [] }

  test('of several databases names what is not of `default`', () => {
    const other = {
      alias: 'archive',
      database: archive,
      dump: { bytes: 4096 },
      pending: [pending],
      unknown: ['todo.0009'],
      unrecorded: ['todo.0001_s'],
      invalid: [{ name: 'i', table: 't', fix: 'f' }],
      problems: [{ text: 'In the database archive: x' }],
    }
    const plan = readPlan(document({ verb: 'plan', ...nothing, pending: [pending], others: [other] }))
    expect(plan).toMatchObject({
      pending: [pending, { ...pending, database: 'archive' }],
      unknown: ['archive: todo.0009'],
      unrecorded: ['archive: todo.0001_s'],
      invalid: [{ name: 'i', database: 'archive' }],
      problems: ['In the database archive: x'],
      others: [{ database: { alias: 'archive' }, dump: { sizeBytes: 4096 } }],
    })
    const rows = { applied: ['todo.0001', 'todo.0009'], unknown: ['todo.0009'], pending: [pending] }
    expect(readRows(document({ ...rows, others: [{ ...rows, alias: 'archive' }] })).slice(3)).toEqual([
      { name: 'archive: todo.0001', state: 'applied' },
      { name: 'archive: todo.0009', state: 'unknown' },
      { name: 'archive: todo.0002_due', state: 'pending' },
    ])
    const migrations = [{ app: 'todo', name: '0001_initial', source: 'ab' }]
    const list = { verb: 'list', migrations, models_drift: [], others: [{ alias: 'archive', migrations }] }
    expect(readPlan(document({ ...nothing, ...list }))).toMatchObject({
      migrations: [...migrations, { ...migrations[0], database: 'archive' }],
    })
  })

  test('leaves out what a SQLite database does not have', () => {
    expect(readPlan(document({ verb: 'plan', ...nothing }))).toMatchObject({
      database: { vendor: 'sqlite', system: undefined, host: '', name: '/data/db.sqlite3', empty: true },
      serving: undefined,
      pending: [],
    })
  })

  test.each([
    ['pending', [{ app: 'a', name: '1', source: 'x', operations: [] }], /^pending\.0\.atomic: Invalid key/],
    ['settings', { ...settings, debug: 'no' }, /^settings\.debug: .*Expected boolean but received "no"/],
    ['digest', undefined, /^digest: Invalid key/],
  ])('refuses %s of another form, and says what it is', (name, value, seen) => {
    expect(() => readPlan(document({ verb: 'plan', ...nothing, [name]: value }))).toThrow(
      expect.objectContaining({
        code: 'internal',
        what: 'The report of the probe about the app does not have the form that this version of the action reads',
        seen: expect.stringMatching(seen),
      }),
    )
  })
})

test('readMigrateReport', () => {
  const applied = [{ app: 'todo', name: '0002_due', milliseconds: 120 }]
  expect(readMigrateReport(document({ applied, failed: null, rows: [] }))).toEqual({
    applied,
    failed: undefined,
    invalid: [],
  })
  const failed = { app: 'todo', name: '0003', kept: 0, error: 'IntegrityError: x' }
  expect(readMigrateReport(document({ applied: [], failed })).failed).toEqual(failed)
  const others = [{ alias: 'archive', applied, failed }]
  expect(readMigrateReport(document({ applied, failed: null, others }))).toEqual({
    applied: [...applied, { ...applied[0], database: 'archive' }],
    failed: { ...failed, database: 'archive' },
    invalid: [],
  })
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

test('readCompatibility', () => {
  const problems = [{ table: 'todo', column: 'due', kind: 'missing', text: 'todo.due is missing' }]
  expect(readCompatibility(document({ problems, ahead: ['todo.0002'] }))).toEqual({
    problems: ['todo.due is missing'],
    ahead: ['todo.0002'],
    dump: {},
  })
  const others = [{ alias: 'archive', problems: [{ text: 'In the database archive: x' }], ahead: ['log.0002'] }]
  expect(readCompatibility(document({ problems, ahead: ['todo.0002'], others }))).toMatchObject({
    problems: ['todo.due is missing', 'In the database archive: x'],
    ahead: ['todo.0002', 'archive: log.0002'],
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
])('a proxy header of %j is read as %j', (given, header) => {
  const settings = { allowed_hosts: [], debug: false, ssl_redirect: false, static: { kind: 'elsewhere' } }
  expect(readSettings({ settings: { ...settings, proxy_ssl_header: given } }).proxySslHeader).toEqual(header)
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
  const readers = [readPlan, readMigrateReport, readHttpReport, readCompatibility, readProbeError, readSettings]

  test('is read, or refused with a DeployError', () => {
    for (const name of names) {
      for (const shape of shapes) {
        const found = findDocument(line({ verb: 'plan', [name]: shape }))
        expect(found).toBeDefined()
        for (const reader of readers) {
          try {
            reader(found ?? {})
          } catch (error) {
            expect({ name, shape, known: error instanceof DeployError }).toEqual({ name, shape, known: true })
          }
        }
      }
    }
  })

  test('a time that is no number is refused', () => {
    const applied = [{ app: 'a', name: '1', milliseconds: 'soon' }]
    expect(() => readMigrateReport(document({ applied }))).toThrow(
      expect.objectContaining({ seen: expect.stringMatching(/^applied\.0\.milliseconds: .*Expected number/) }),
    )
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
