import { describe, expect, test } from '@jest/globals'
import { DeployError } from '../../../src/errors.ts'
import {
  noFindings,
  outputsOf,
  servingOf,
  type Findings,
  type Outcome,
  type ShownPlan,
} from '../../../src/report/report.ts'
import { headline, renderSummary } from '../../../src/report/summary.ts'

const digest = 'ab'.repeat(32)
const plan: ShownPlan = {
  digest,
  operations: [
    { step: 'migrate', object: 'todo.0002_due', reason: 'pending' },
    { step: 'replace', object: 'web', reason: 'new image' },
  ],
  pending: [
    {
      app: 'todo',
      name: '0002_due',
      operations: [
        { kind: 'AddField', text: 'Add field due to item', reversible: true },
        { kind: 'RunSQL', text: 'Raw SQL operation', reversible: false },
      ],
    },
  ],
  unknown: [],
  drift: [],
}

const deployed: Findings = {
  ...noFindings('deploy', 'example.org', 'v2'),
  previous: 'v1',
  serving: servingOf('v2'),
  project: 'todo',
  images: { web: 'ghcr.io/octo/todo@sha256:aa', worker: 'ghcr.io/octo/todo@sha256:aa' },
  plan,
  applied: [{ app: 'todo', name: '0002_due', milliseconds: 1234 }],
  steps: [
    { name: 'migrate', seconds: 2.04 },
    { name: 'swap', seconds: 0.96 },
  ],
}
const render = (change: Partial<Findings>, outcome: Outcome = { kind: 'deployed' }): string =>
  renderSummary({ ...deployed, ...change }, outcome)
const failed = (cause: unknown): Outcome => ({ kind: 'failed', cause })

describe('renderSummary', () => {
  test('of a release that serves', () => {
    expect(render({})).toBe(
      [
        '## ✅ todo serves v2',
        '',
        '| | |',
        '|---|---|',
        '| host | example.org |',
        '| served before | v1 |',
        '| serves now | v2 |',
        '| image of web | `ghcr.io/octo/todo@sha256:aa` |',
        '| image of worker | `ghcr.io/octo/todo@sha256:aa` |',
        '',
        '<details open><summary>Plan</summary>',
        '',
        '- migrate todo.0002&#95;due: pending',
        '- replace web: new image',
        '',
        '</details>',
        '',
        '### Migrations',
        '',
        '| migration | operations | applied in |',
        '|---|---|---|',
        '| todo.0002&#95;due | Add field due to item<br>Raw SQL operation **(not reversible)** | 1.23 s |',
        '',
        '<details><summary>Steps on the host</summary>',
        '',
        'migrate 2.0 s · swap 1.0 s',
        '',
        '</details>',
        '',
      ].join('\n'),
    )
  })

  test('of a failure, with the whole error and what serves', () => {
    const failure = new DeployError('health-timeout', {
      what: 'The new release did not become healthy in time',
      seen: 'web is running\n```\n',
      fix: 'raise `health-timeout`',
    })
    const text = render({ serving: servingOf('v1'), plan: undefined, steps: [], images: {} }, failed(failure))
    expect(text).toBe(
      [
        '## ❌ v2 was not deployed; todo serves v1 (it was not touched)',
        '',
        '```text',
        'The new release did not become healthy in time [health-timeout]',
        '  seen:  web is running',
        "         '''",
        '  fix:   raise `health-timeout`',
        '  see:   docs/troubleshooting.md#health-timeout',
        '```',
        '',
        '| | |',
        '|---|---|',
        '| host | example.org |',
        '| served before | v1 |',
        '| serves now | v1 |',
        '',
      ].join('\n'),
    )
  })

  test('of a failure before anything was known claims nothing', () => {
    const text = renderSummary(noFindings('deploy', 'example.org', 'v2'), failed(new Error('x')))
    expect(text.split('\n')[0]).toBe('## ❌ v2 was not deployed')
    expect(text).toContain('| served before | unknown or nothing |\n| serves now | unknown |')
  })

  test('of a first deploy', () => {
    expect(render({ previous: undefined })).toContain('| served before | nothing |')
  })

  test('of a plan that is only shown', () => {
    const text = render({ serving: servingOf('v1'), applied: [], steps: [] }, { kind: 'planned' })
    expect(text).toContain('## 📋 The plan for v2; nothing was changed')
    expect(text).toContain('**(not reversible)** |  |')
    expect(text).not.toContain('Steps on the host')
  })

  test('warns of models and rows that nobody expects', () => {
    const text = render({
      plan: { ...plan, pending: [], drift: ['todo: Alter field a_b on item'], unknown: ['x.0001', 'y.0002'] },
    })
    expect(text).toContain('No migrations are pending.\n')
    expect(text).toContain(
      '> ⚠️ The models changed without a migration (run makemigrations): todo: Alter field a&#95;b on item\n',
    )
    expect(text).toContain('> ⚠️ The database has migrations that this image does not know: x.0001, y.0002\n')
  })

  const hostile =
    '</details><img src=x> | `code` **bold** ~~gone~~ _x_ [link](http://e.vil) \\| #1 @octo $x$ ![i](u) &lt;\n# h\r# h'

  test.each<[string, (text: string) => Partial<Findings>]>([
    ['the host', (host) => ({ host })],
    ['the version before', (previous) => ({ previous })],
    ['what serves', (version) => ({ serving: servingOf(version) })],
    ['the version', (version) => ({ version })],
    ['the project', (project) => ({ project })],
    ['a service', (service) => ({ images: { [service]: 'x@sha256:aa' } })],
    ['an app', (app) => ({ plan: { ...plan, pending: [{ app, name: '1', operations: [] }] } })],
    [
      'an operation',
      (text) => ({
        plan: { ...plan, pending: [{ app: 'a', name: '1', operations: [{ kind: '', text, reversible: true }] }] },
      }),
    ],
    ['a drift', (text) => ({ plan: { ...plan, drift: [text] } })],
    ['an unknown row', (text) => ({ plan: { ...plan, unknown: [text] } })],
  ])('shows markup in %s as it is written', (_, change) => {
    const [plain, attacked] = [render(change('plain')), render(change(hostile))]
    const shown = attacked.replace(/&#(\d+);/g, (__, code: string) => String.fromCharCode(Number(code)))
    expect(shown).toContain(hostile.replace(/[\n\r]/g, ' '))
    // Nothing but the text is new: as many lines, cells, tags and marks as with a harmless name.
    for (const mark of [
      /\n|\r/g,
      /\|/g,
      /</g,
      />/g,
      /`/g,
      /\*/g,
      /~/g,
      /_/g,
      /\[/g,
      /\]/g,
      /\\/g,
      /!/g,
      /@/g,
      /\$/g,
      /^#/gm,
    ]) {
      expect([mark, attacked.match(mark)?.length]).toEqual([mark, plain.match(mark)?.length])
    }
  })

  test('an error cannot leave its block', () => {
    const text = render({}, failed(new DeployError('internal', { what: 'x', seen: '```\n## hello\n````\n</details>' })))
    expect(text.match(/^`{3,}/gm)).toHaveLength(2)
  })

  test('cuts a long error', () => {
    const text = render({}, failed(new DeployError('internal', { what: 'x', seen: 'y'.repeat(2_000_000) })))
    expect(text.length).toBeLessThan(12_000)
    expect(text).toContain('y\n…\n```\n')
  })

  test('stays far below what GitHub takes, whatever the plan is', () => {
    const operations = Array.from({ length: 500 }, (_, index) => ({
      kind: 'AddField',
      text: `Add field number_${index} to a_model`,
      reversible: false,
    }))
    const pending = Array.from({ length: 500 }, (_, index) => ({ app: 'app', name: `${index}_name`, operations }))
    const names = Array.from({ length: 5_000 }, (_, index) => `app.${index}_name`)
    const text = render({ plan: { ...plan, pending, unknown: names, drift: names } })
    expect(Buffer.byteLength(text)).toBeLessThan(700_000)
    expect(text).toContain('\nand 400 more.\n')
    expect(text).toContain('<br>and 470 more |')
    expect(text).toContain(', and 4800 more\n')
  })
})

describe('headline', () => {
  test.each<[Outcome['kind'], Partial<Findings>, string]>([
    ['deployed', {}, '✅ todo serves v2'],
    ['rolled-back', { version: 'v1' }, '✅ todo is back at v1'],
    ['unchanged', {}, '✅ todo already served v2; nothing was changed'],
    ['planned', {}, '📋 The plan for v2; nothing was changed'],
    ['failed', { serving: servingOf('v1') }, '❌ v2 was not deployed; todo serves v1 (it was not touched)'],
    ['failed', { serving: servingOf('v1', 3.21) }, '❌ v2 was not deployed; todo serves v1 again after 3.2 s'],
    [
      'failed',
      { serving: { kind: 'broken', version: 'v1', trouble: 'notes.text is missing' } },
      '❌ v2 was not deployed; v1 runs again, but it cannot serve: notes.text is missing',
    ],
    ['failed', { serving: { kind: 'unknown' } }, '❌ v2 was not deployed'],
    ['failed', { serving: { kind: 'nothing' } }, '❌ v2 was not deployed; nothing serves'],
    [
      'failed',
      { command: 'rollback', version: 'v1', serving: servingOf('v2') },
      '❌ v1 was not restored; todo serves v2 (it was not touched)',
    ],
    ['failed', { command: 'rollback', serving: { kind: 'unknown' } }, '❌ v2 was not restored'],
    ['failed', { serving: servingOf('v2') }, '❌ the deploy failed; todo serves v2 (it was not touched)'],
    [
      'failed',
      { project: undefined, serving: servingOf('v1') },
      '❌ v2 was not deployed; the project serves v1 (it was not touched)',
    ],
  ])('%s %j: %s', (kind, change, text) =>
    expect(headline({ ...deployed, ...change }, kind === 'failed' ? failed(undefined) : { kind })).toBe(text),
  )
})

describe('outputsOf', () => {
  test('gives everything as text', () => {
    expect(outputsOf(deployed, { kind: 'deployed' })).toEqual({
      outcome: 'deployed',
      version: 'v2',
      'previous-version': 'v1',
      serving: 'v2',
      images: '{"web":"ghcr.io/octo/todo@sha256:aa","worker":"ghcr.io/octo/todo@sha256:aa"}',
      migrations: '[{"app":"todo","name":"0002_due","milliseconds":1234,"state":"applied"}]',
      plan: JSON.stringify(plan),
      'plan-digest': digest,
      url: '',
    })
  })

  test('names nothing that serves when what was brought back cannot', () => {
    const serving = { kind: 'broken', version: 'v1', trouble: 'x' } as const
    expect(outputsOf({ ...deployed, serving }, { kind: 'failed', cause: undefined })['serving']).toBe('')
  })

  test('is failed and empty before anything is known', () => {
    expect(outputsOf(noFindings('rollback', 'example.org', 'v1'), failed(undefined))).toEqual({
      outcome: 'failed',
      version: 'v1',
      'previous-version': '',
      serving: '',
      images: '{}',
      migrations: '[]',
      plan: '',
      'plan-digest': '',
    })
  })
})
