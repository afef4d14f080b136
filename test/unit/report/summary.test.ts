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
import { headline, renderComment, renderSummary } from '../../../src/report/summary.ts'

const digest = 'ab'.repeat(32)
const plan: ShownPlan = {
  digest,
  order: 'before',
  return: 'containers',
  operations: [
    { step: 'migrate', object: 'todo.0002_due', reason: 'pending' },
    { step: 'replace', object: 'web', reason: 'new image' },
    { step: 'keep', object: 'db', reason: 'stateful' },
  ],
  pending: [
    {
      app: 'todo',
      name: '0002_due',
      operations: [
        { kind: 'AddField', text: 'Add field due to item', reversible: true, oldCode: 'lives' },
        { kind: 'RunSQL', text: 'Raw SQL operation', reversible: false, oldCode: 'lives', reverses: 'no' },
      ],
    },
  ],
  unknown: [],
  drift: [],
}

const image = `ghcr.io/octo/todo@sha256:${'a'.repeat(64)}`
const deployed: Findings = {
  ...noFindings('deploy', 'example.org', 'v2'),
  previous: 'v1',
  serving: servingOf('v2'),
  since: '2026-01-02T03:04:05.678Z',
  project: 'todo',
  directory: 'deploy/todo',
  images: { web: image, worker: image },
  sizes: new Map([[image, 123_456_789]]),
  health: { url: 'http://proxy:80/', status: 200, text: 'it answers 200' },
  plan,
  course: ['The migrations run while v1 serves: the site stays up.'],
  applied: [{ app: 'todo', name: '0002_due', milliseconds: 1234 }],
  steps: [
    { name: 'Build', place: 'runner', begun: 10_000, seconds: 9, hasFailed: false },
    { name: 'migrate', place: 'host', begun: 19_000, seconds: 2.04, hasFailed: false },
    { name: 'swap', place: 'host', begun: 21_040, seconds: 0.96, hasFailed: false },
  ],
  rollbackPage: 'https://github.com/octo/todo/actions/workflows/rollback.yml',
}
const render = (change: Partial<Findings>, outcome: Outcome = { kind: 'deployed' }): string =>
  renderSummary({ ...deployed, ...change }, outcome)
const failed = (cause: unknown): Outcome => ({ kind: 'failed', cause })
/** The lines of a summary below its first line; `text` is written at the margin. */
const lines = (text: string): string => text.replace(/^\n/, '')

const migrations = (applied: string): string => `### Migrations

| migration | operations | verdict | applied |
| --- | --- | --- | --- |
| todo.0002&#95;due | Add field due to item<br>Raw SQL operation **(not reversible)** | ⚠️ cannot be undone | ${applied} |
`
const operations = `
| step | object | why |
| --- | --- | --- |
| migrate | todo.0002&#95;due | pending |
| replace | web | new image |
| keep | db | stateful |
`
const images = `### Images

| service | image | size |
| --- | --- | --- |
| web, worker | \`${image}\` | 123.4 MB |
`

describe('renderSummary', () => {
  test('of a release that serves', () => {
    expect(render({})).toBe(
      lines(`
## ✅ todo serves v2

| serves now | v2, since 2026-01-02 03:04:05 UTC |
| --- | --- |
| served before | v1 |
| host | example.org, \`deploy/todo\` |
| health check | \`http://proxy:80/\` answers 200 |

### What was done
${operations}
${migrations('in 1.23 s')}
${images}
<details><summary>Time: 12.0 s</summary>

| step | on the | took |  |
| --- | --- | --- | --- |
| Build | runner | 9.0 s | \`██████████████████······\` |
| migrate | host | 2.0 s | \`··················████··\` |
| swap | host | 1.0 s | \`······················██\` |

</details>

### Roll back

Run [the workflow that rolls back](https://github.com/octo/todo/actions/workflows/rollback.yml) with version \`v1\`.

Without GitHub, on the host: \`sh deploy/todo/.deploy/rollback v1\`

`),
    )
  })

  test('of a failed release: the reason, what the container said, and what was done about it', () => {
    const failure = new DeployError('health-timeout', {
      what: 'The new release did not become healthy in time',
      seen: 'web is running\n```\n',
      fix: 'raise `health-timeout`',
    })
    const text = render(
      {
        serving: servingOf('v1', 3.21),
        since: '2025-12-24T18:00:00Z',
        health: undefined,
        applied: [],
        steps: [{ name: 'health', place: 'host', begun: 0, seconds: 30, hasFailed: true }],
        aftermath: {
          container: 'todo-web-1',
          lines: ['Traceback (most recent call last):', 'KeyError: "```"'],
          done: ['The new containers were removed and those of v1 started again; it answered again after 3.2 s.'],
        },
        warnings: ['nginx in todo-proxy-1 did not reload'],
      },
      failed(failure),
    )
    expect(text).toBe(
      lines(`
## ❌ v2 was not deployed; todo serves v1 again after 3.2 s

\`\`\`text
The new release did not become healthy in time [health-timeout]
  seen:  web is running
         '''
  fix:   raise \`health-timeout\`
  see:   docs/troubleshooting.md#health-timeout
\`\`\`

What this means and what to do: [health-timeout](docs/troubleshooting.md#health-timeout)

The last lines of \`todo-web-1\`:

\`\`\`text
Traceback (most recent call last):
KeyError: "'''"
\`\`\`

### What was done about it

- The new containers were removed and those of v1 started again; it answered again after 3.2 s.

| serves now | v1, since 2025-12-24 18:00:00 UTC |
| --- | --- |
| host | example.org, \`deploy/todo\` |

### Plan

The migrations run while v1 serves: the site stays up.
${operations}
${migrations('not applied')}
### Warnings

- nginx in todo-proxy-1 did not reload

${images}
<details><summary>Time: 30.0 s</summary>

| step | on the | took |  |
| --- | --- | --- | --- |
| health ❌ | host | 30.0 s | \`████████████████████████\` |

</details>

`),
    )
  })

  test('of a plan that is only shown', () => {
    const text = render(
      { serving: servingOf('v1'), since: undefined, health: undefined, images: {}, applied: [], steps: [] },
      { kind: 'planned' },
    )
    expect(text).toBe(
      lines(`
## 📋 The plan for v2; nothing was changed

| serves now | v1 |
| --- | --- |
| host | example.org, \`deploy/todo\` |

### Plan

The migrations run while v1 serves: the site stays up.
${operations}
${migrations('pending')}
`),
    )
  })

  test('of a failure before anything was known claims nothing', () => {
    const text = renderSummary(
      noFindings('deploy', 'example.org', 'v2'),
      failed(new DeployError('aborted', { what: 'x' })),
    )
    expect(text).toBe(
      lines(`
## ❌ v2 was not deployed

\`\`\`text
x [aborted]
  see:   docs/troubleshooting.md#aborted
\`\`\`

What this means and what to do: [aborted](docs/troubleshooting.md#aborted)

| serves now | unknown |
| --- | --- |
| served before | unknown or nothing |
| host | example.org |

`),
    )
  })

  test('of a build', () => {
    const built = { ...noFindings('build', undefined, 'v2'), images: { web: image } }
    expect(renderSummary(built, { kind: 'built' })).toBe(
      `## ✅ v2 is built\n\n${images.replace('web, worker', 'web').replace('123.4 MB', '')}\n`,
    )
  })

  test('of a refusal says that nothing was touched', () => {
    const text = render({ serving: servingOf('v1') }, failed(new DeployError('migration-unsafe', { what: 'x' })))
    expect(text).toContain('### What was done about it\n\n- The containers that serve were not touched.\n')
  })

  test('says lines of the container once, also when the error has them', () => {
    const aftermath = { container: 'web', lines: ['KeyError: 1'], done: [] }
    const failure = new DeployError('container-exited', { what: 'x', seen: '  | KeyError: 1' })
    expect(render({ aftermath }, failed(failure)).match(/KeyError: 1/g)).toHaveLength(1)
  })

  test('of a deploy that stopped the site, with how long, and its backup', () => {
    const backup = { file: '.deploy/backups/a.dump', bytes: 1_234, restore: 'sh .deploy/backups/a.restore' }
    expect(render({ stoppedSeconds: 6.2345, backup })).toContain(
      '| the site was stopped for | 6.2 s |\n| backup | 2 kB, `.deploy/backups/a.dump`<br>to restore it, on the host: `sh .deploy/backups/a.restore` |\n',
    )
  })

  test('of a first deploy knows no way back', () => {
    const text = render({ previous: undefined })
    expect(text).toContain('| served before | nothing |')
    expect(text).not.toContain('Roll back')
  })

  test.each<[string, Partial<Findings>, Outcome['kind'], string | undefined]>([
    [
      'no workflow for it',
      { rollbackPage: undefined },
      'deployed',
      'Add [a workflow](https://x/README.md#use-it) that uses the action `rollback`, and run it with version `v1`.',
    ],
    [
      'migrations that are unapplied for it',
      { plan: { ...plan, return: 'reverse' } },
      'deployed',
      'with version `v1` and `reverse-migrations: true`. This loses all data written since the deployment to tables and columns that its migrations added.\n\nWithout GitHub, on the host: `sh deploy/todo/.deploy/rollback --reverse-migrations v1`',
    ],
    [
      'no way back',
      { plan: { ...plan, return: 'none' } },
      'deployed',
      'v1 cannot come back: a migration loses data, or cannot be undone.',
    ],
    [
      'a rollback',
      { command: 'rollback', version: 'v1', previous: 'v2' },
      'rolled-back',
      '### Forward again to v2\n\nRun [the workflow that rolls back](https://github.com/octo/todo/actions/workflows/rollback.yml) with version `v2`.',
    ],
    ['the same version', { previous: 'v2' }, 'deployed', undefined],
    ['nothing new', {}, 'unchanged', undefined],
  ])('the way back: %s', (_, change, kind, expected) => {
    const findings = { ...deployed, ...change }
    const text = renderSummary(findings, kind === 'failed' ? failed(undefined) : { kind }, {
      readme: 'https://x/README.md',
    })
    if (expected === undefined) expect(text).not.toMatch(/Roll back|Forward again/)
    else expect(text).toContain(expected)
  })

  test('says of each migration what it does to the code that serves and to the data', () => {
    const of = (operation: object): string => {
      const pending = [{ app: 'a', name: '1', operations: [{ kind: '', text: 'x', reversible: true, ...operation }] }]
      const row = render({ plan: { ...plan, pending } })
        .split('\n')
        .find((line) => line.startsWith('| a.1 |'))
      return row?.split(' | ')[2] ?? ''
    }
    expect(of({})).toBe('')
    expect(of({ oldCode: 'lives', breaks: [], reverses: 'fully', loses: [] })).toBe('safe')
    expect(of({ oldCode: 'breaks', breaks: ['insert'] })).toBe('⚠️ the old code breaks')
    expect(of({ oldCode: 'breaks', breaks: ['read'], reverses: 'no', loses: ['a.b'] })).toBe(
      '⚠️ the old code breaks, data is lost, cannot be undone',
    )
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
    ['a reason', (reason) => ({ plan: { ...plan, operations: [{ step: 'keep', object: 'web', reason }] } })],
    ['a step', (name) => ({ steps: [{ name, place: 'host', begun: 0, seconds: 1, hasFailed: false }] })],
    ['a warning', (text) => ({ warnings: [text] })],
    ['a health answer', (text) => ({ health: { text } })],
    ['the address', (url) => ({ url })],
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
    // Nothing but the text is new: as many lines, cells, tags and marks as with a harmless name; between backticks all is text.
    const bare = (text: string): string => text.replace(/`[^`\n]+`/g, '``')
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
      expect([mark, bare(attacked).match(mark)?.length]).toEqual([mark, bare(plain).match(mark)?.length])
    }
  })

  test('an error cannot leave its block', () => {
    const text = render({}, failed(new DeployError('internal', { what: 'x', seen: '```\n## hello\n````\n</details>' })))
    expect(text.match(/^`{3,}/gm)).toHaveLength(2)
  })

  test('what stands between backticks cannot end them', () => {
    const text = render({ directory: 'a`b|c\\nd', images: { web: 'x`<b>|' }, previous: '`v1`' })
    expect(text).toContain('`a b c nd`')
    expect(text).toContain('| web | `x <b> ` |')
    expect(text).toContain('with version ` v1 `.')
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
    expect(Buffer.byteLength(text)).toBeLessThan(900_000)
    expect(text).toContain('\nand 400 more.\n')
    expect(text).toContain('<br>and 470 more |')
    expect(text).toContain(', and 4800 more\n')
  })

  test('leaves out what is still too long, and says so', () => {
    const long = '<'.repeat(600)
    const operations = Array.from({ length: 30 }, () => ({ kind: '', text: long, reversible: true }))
    const pending = Array.from({ length: 100 }, (_, index) => ({ app: 'app', name: `${index}`, operations }))
    const text = render({ plan: { ...plan, pending }, warnings: Array.from({ length: 5_000 }, () => long) })
    expect(Buffer.byteLength(text)).toBeLessThan(1024 ** 2)
    expect(text).toContain('## ✅ todo serves v2\n')
    expect(text).toMatch(/The rest is too long: see the log\.\n$/)
  })
})

describe('headline', () => {
  test.each<[Outcome['kind'], Partial<Findings>, string]>([
    ['deployed', {}, '✅ todo serves v2'],
    ['rolled-back', { version: 'v1' }, '✅ todo is back at v1'],
    ['unchanged', {}, '✅ todo already served v2; nothing was changed'],
    [
      'unchanged',
      { serving: servingOf('sha-1'), version: 'v2' },
      '✅ todo already served sha-1, which equals v2; nothing was changed',
    ],
    ['planned', {}, '📋 The plan for v2; nothing was changed'],
    ['failed', { serving: servingOf('v1') }, '❌ v2 was not deployed; todo serves v1 (it was not touched)'],
    ['failed', { serving: servingOf('v1', 3.21) }, '❌ v2 was not deployed; todo serves v1 again after 3.2 s'],
    [
      'failed',
      { serving: { kind: 'broken', version: 'v1', trouble: 'notes.text is missing' } },
      '❌ v2 was not deployed; v1 runs again, but it cannot serve: notes.text is missing',
    ],
    [
      'failed',
      { serving: { kind: 'forward', version: 'v2', trouble: 'it does not answer' } },
      '❌ v2 was not deployed; nothing serves: v2 stays, but it is not healthy; its migrations rule out a revert',
    ],
    [
      'failed',
      { serving: { kind: 'forward', version: 'v2', trouble: undefined } },
      '❌ the deploy failed; todo serves v2, although not all of its deployment succeeded',
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
      images: JSON.stringify({ web: image, worker: image }),
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

  test.each([
    ['it does not answer', ''],
    [undefined, 'v2'],
  ])('of a release that stays although it failed (%s)', (trouble, expected) => {
    const serving = { kind: 'forward', version: 'v2', trouble } as const
    expect(outputsOf({ ...deployed, serving }, { kind: 'failed', cause: undefined })['serving']).toBe(expected)
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

describe('a comment', () => {
  const pages = { run: 'https://github.com/octo/todo/actions/runs/7/attempts/1', troubleshooting: 'https://x/docs' }
  const comment = (change: Partial<Findings>, outcome: Outcome = { kind: 'deployed' }): string =>
    renderComment({ ...deployed, ...change }, outcome, pages)

  test('says what was done', () => {
    expect(comment({})).toBe(
      lines(`
### ✅ todo serves v2

When the job ended, this served: v2, since 2026-01-02 03:04:05 UTC. [The run](${pages.run}) has the details.

### What was done
${operations}
${migrations('in 1.23 s')}
${images}
`),
    )
  })

  test('of a failure gives the code, and nothing that a program printed', () => {
    const cause = new DeployError('settings-import', { what: 'No settings', seen: 'password hunter2' })
    const text = comment({ host: undefined, serving: { kind: 'unknown' }, plan: undefined }, failed(cause))
    expect(text).toContain('The reason: [settings-import](https://x/docs#settings-import)')
    expect(text).not.toContain('hunter2')
  })

  test('is as long as GitHub takes, and what users wrote is no markup', () => {
    const pending = Array.from({ length: 200 }, (_, index) => ({
      app: '@octocat <b>',
      name: `${index}_${'x'.repeat(600)}`,
      operations: [],
    }))
    const text = comment({ project: '@octocat', plan: { ...plan, pending } })
    expect(text.length).toBeLessThan(65_536)
    expect(text).toContain('The rest is too long')
    expect(text).not.toMatch(/@octocat|<b>/)
  })
})
