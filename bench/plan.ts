/** The plan of an image with 200 applied migrations, against what Django itself lists; see docs/benchmarks.md. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readAssets } from '../src/host/assets.ts'
import { migration, project } from '../test/stories/shape.ts'
import { docker } from '../test/world/docker.ts'
import { linesOf } from '../test/world/listing.ts'
import { describeMachine, median, seconds, table } from './table.ts'

const MIGRATIONS = 200
const TURNS = 5
const NAME = 'deploy-django-bench-plan'

const numbered = (number: number): string => `${String(number).padStart(4, '0')}_${number === 1 ? 'initial' : 'more'}`
const more = Array.from({ length: MIGRATIONS - 1 }, (_, index) => index + 2).map((number): [string, string] => [
  `notes/migrations/${numbered(number)}.py`,
  migration(numbered(number - 1), 'migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop)'),
])
const files = {
  ...project('v1'),
  ...Object.fromEntries(more),
  Dockerfile: `FROM python:3.13-slim
RUN --mount=type=cache,target=/root/.cache/pip pip install --root-user-action=ignore "django==5.2.*"
WORKDIR /app
COPY . /app
RUN echo 'print("started", file=open("/data/starts", "a"))' >>site_/settings.py
ENV SECRET_KEY=only-for-this-bench-1
`,
}

const folder = await mkdtemp(join(tmpdir(), `${NAME}-`))
const data = join(folder, 'data')
const run = (...words: string[]): Promise<string> =>
  docker(['run', '--rm', '--network', 'none', '--volume', `${data}:/data`, ...words])
const countStarts = async (): Promise<number> => linesOf(await readFile(join(data, 'starts'), 'utf8')).length
try {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  await docker(['build', '--quiet', '--tag', NAME, folder])
  await run(NAME, 'python', 'manage.py', 'migrate', '--verbosity', '0')
  const probe = (await readAssets()).probe.toString()
  const ways = {
    'manage.py migrate --plan': [NAME, 'python', 'manage.py', 'migrate', '--plan'],
    'the plan': ['-e', 'DEPLOY_DJANGO=plan', NAME, 'python', 'manage.py', 'shell', '-v', '0', '-c', probe],
  }
  const times = new Map(Object.keys(ways).map((name): [string, number[]] => [name, []]))
  const starts = new Map<string, number>()
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const [name, words] of Object.entries(ways)) {
      const before = await countStarts()
      const begun = performance.now()
      const said = await run(...words)
      times.get(name)?.push(performance.now() - begun)
      starts.set(name, (await countStarts()) - before)
      if (!/No planned migration operations|"pending": \[\]/.test(said)) throw new Error(`${name} says: ${said}`)
    }
  }
  const bare = median([...times.values()][0] ?? [])
  const rows = [...times].map(([name, own]) => [
    name,
    seconds(median(own)),
    seconds(Math.min(...own)),
    (median(own) / bare).toFixed(2),
    String(starts.get(name)),
  ])
  console.log(`${describeMachine()}, ${MIGRATIONS} applied migrations, SQLite, ${TURNS} times in turns, each in a container

${table(['requested by', 'median', 'best', 'ratio', 'starts of Django'], rows)}`)
} finally {
  await rm(folder, { recursive: true })
  await docker(['image', 'rm', '--force', NAME])
}
