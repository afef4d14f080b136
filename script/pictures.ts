/**
 * Photographs what people see of a run: its job summary and its log, from real runs. Only the names of the test world are
 * replaced by names that a reader knows. GitHub's page around them is imitated: colors, and groups of the log that are closed.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../src/process.ts'
import { output } from '../test/world/docker.ts'
import { DOCKERFILE, makeShape, migration, project } from '../test/stories/shape.ts'
import { workflowsIn } from '../test/workflow.ts'

const folder = fileURLToPath(new URL('../docs/pictures/', import.meta.url))
const MOST_BYTES = 200_000
const WIDTH = 1000

const STYLE = `
body { margin: 0; padding: 24px 32px; font: 14px/1.5 'Liberation Sans', sans-serif; color: #1f2328; }
h2 { font-size: 22px; margin: 0 0 16px; padding-bottom: 6px; border-bottom: 1px solid #d1d9e0; }
h3 { font-size: 17px; margin: 22px 0 12px; }
table { border-collapse: collapse; margin: 0 0 16px; }
th, td { border: 1px solid #d1d9e0; padding: 5px 12px; text-align: left; }
tr:nth-child(2n) td { background: #f6f8fa; }
code { font: 12px 'DejaVu Sans Mono', monospace; background: #eff1f3; border-radius: 6px; padding: 2px 5px; }
pre { background: #f6f8fa; border-radius: 6px; padding: 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
pre code { background: none; padding: 0; }
a { color: #0969da; }
blockquote { border-left: 4px solid #d1d9e0; color: #59636e; margin: 0 0 16px; padding: 0 16px; }
.log { background: #0d1117; color: #e6edf3; font: 12px/1.65 'DejaVu Sans Mono', monospace; }
.log div { padding-left: 52px; text-indent: -52px; white-space: pre-wrap; overflow-wrap: anywhere; }
.log i { display: inline-block; width: 36px; margin-right: 16px; text-align: right; text-indent: 0; font-style: normal; color: #6e7681; }
.command { color: #79c0ff; }
.error { color: #ff7b72; }
.warning { color: #d29922; }
`

const COMPOSE = `services:
  web:
    build: .
    restart: always
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
volumes:
  data:
`

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
await using site = await makeShape({
  ...project('v1'),
  Dockerfile: DOCKERFILE,
  'compose.yaml': COMPOSE,
  '.github/workflows/rollback.yml': workflowsIn(readme).get('rollback.yml') ?? '',
})
const inputs = { 'env-file': `SECRET_KEY=${randomBytes(24).toString('hex')}\n` }
const first = await site.deploy('v1', inputs)
await site.write(project('v2'))
const deployed = await site.deploy('v2', inputs)
// A package that nobody has added to the image.
const { 'site_/urls.py': urls = '' } = project('v2')
await site.write({ 'site_/urls.py': `import stripe\n${urls}` })
const failed = await site.deploy('v3', inputs)
await site.write({
  'site_/urls.py': urls,
  'notes/models.py': project('v1')['notes/models.py'] ?? '',
  'notes/migrations/0003_remove_extra.py': migration('0002_extra', 'migrations.RemoveField("note", "extra")'),
})
const refused = await site.deploy('v4', inputs)
const outcomes = [first, deployed, failed, refused].map(({ outputs }) => outputs['outcome'])
if (outcomes.join() !== 'deployed,deployed,failed,failed') throw new Error(`The runs ended with ${outcomes.join(', ')}`)

await mkdir(folder, { recursive: true })
await photograph('summary-deployed', await summaryPage(deployed.summary))
await photograph('summary-failed', await summaryPage(failed.summary))
await photograph('summary-refused', await summaryPage(refused.summary))
await photograph('log-deployed', logPage(deployed.log))

/** The page as GitHub shows a job summary. */
async function summaryPage(summary: string): Promise<string> {
  const words = ['--unsafe', '-e', 'table', '-e', 'autolink', '-e', 'strikethrough']
  const rendered = await run('cmark-gfm', words, { stdin: withNames(summary) })
  return `<body>${output('cmark-gfm', rendered)}`
}

/** The page as GitHub shows a log: a group is one line until somebody opens it. */
function logPage(log: string): string {
  let isInGroup = false
  let number = 0
  const lines = withNames(log)
    .split('\n')
    .flatMap((line) => {
      number += 1
      const [, kind, text = line] = /^(?:##)?\[(group|endgroup|error|warning|command)\](.*)$/.exec(line) ?? []
      if (kind === 'endgroup') {
        number -= 1
        isInGroup = false
        return []
      }
      if (isInGroup) return []
      isInGroup = kind === 'group'
      const mark = kind === 'group' ? '▸ ' : '  '
      return [`<div class="${kind ?? ''}"><i>${number}</i>${escapeHtml(mark + text)}</div>`]
    })
  return `<body class="log">${lines.join('\n')}`
}

/** Names that a reader knows, in place of those of the test world. */
function withNames(text: string): string {
  return text
    .replaceAll(/127\.0\.0\.1:\d+(?=\/shape-)/g, 'ghcr.io/owner')
    .replaceAll(site.name, 'notes')
    .replaceAll(/127\.0\.0\.1(?!:8000)(:\d+)?/g, 'example.com')
    .replaceAll('octo/deploy-django', 'owner/deploy-django')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

/** A screenshot of the whole page, whatever its height. */
async function photograph(name: string, body: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'pictures-'))
  try {
    const page = join(work, 'page.html')
    const measure =
      '<script>document.title = Math.ceil(document.documentElement.getBoundingClientRect().height)</script>'
    await writeFile(page, `<!doctype html><meta charset="utf-8"><style>${STYLE}</style>${body}${measure}`)
    const path = join(folder, `${name}.png`)
    const [, height = '800'] =
      /<title>(\d+)/.exec(await browse(work, page, '--dump-dom', `--window-size=${WIDTH},800`)) ?? []
    await browse(work, page, `--screenshot=${path}`, `--window-size=${WIDTH},${height}`)
    output('pngquant', await run('pngquant', ['--force', '--ext', '.png', '64', path]))
    const { size } = await stat(path)
    console.log(`docs/pictures/${name}.png: ${WIDTH} x ${height}, ${Math.ceil(size / 1000)} kB`)
    if (size > MOST_BYTES) throw new Error(`${name}.png has ${size} bytes, more than ${MOST_BYTES}`)
  } finally {
    await rm(work, { recursive: true })
  }
}

async function browse(work: string, page: string, ...words: string[]): Promise<string> {
  const always = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-device-scale-factor=1.5']
  const options = [...always, `--user-data-dir=${join(work, 'profile')}`, ...words, `file://${page}`]
  return output('chromium', await run('chromium', options, { timeoutMs: 120_000 }))
}
