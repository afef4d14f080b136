/** The demo: a site is deployed, upgraded, saved from a broken release, and rolled back; each run says what is true now. */
import { randomBytes } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { runAction, type ActionRun } from '../test/run-action.ts'
import { makeProject } from '../test/world/project.ts'
import { openWorld } from '../test/world/world.ts'

const name = 'todo'
const port = 8129
/** Everything that the runs print. */
const log = join(tmpdir(), 'deploy-django-demo.log')
const site = `http://127.0.0.1:${port}/`
/** The steps that tell the story; each log has a dozen more. */
const TOLD = /^(?:##\[group\])?((?:Bake|Push|Plan|stop|migrate|try|swap|health|undo|back_health): .*\d s)$/

/** A run of the action that the demo shows, and how it has to end. */
type Act = {
  title: string
  /** One line, shown first: what this run will do. */
  headline: string
  start: (onLine: (line: string) => void) => Promise<ActionRun>
  outcome: string
  serves: string
}

writeFileSync(log, '')
try {
  await demonstrate()
  console.log(`\nThe whole log is in ${log}. The site stays open; script/demo --stop removes it.\n${site}`)
} catch (error) {
  console.error(`\ndemo: ${error instanceof Error ? error.message : String(error)}`)
  console.error(`The whole log is in ${log}. What runs stays; script/demo --stop removes it.`)
  process.exitCode = 1
}

async function demonstrate(): Promise<void> {
  console.log('\n=== a registry and a host, made of containers')
  const world = await openWorld()
  const server = await world.server('alpha')
  // A site that an earlier demo left open starts again with an empty database.
  await server.remove(name)
  await using project = await makeProject('todo')

  const secret = (): string => randomBytes(18).toString('hex')
  const env = `SECRET_KEY=${secret()}\nALLOWED_HOSTS=127.0.0.1\nPORT=${port}\n`
  const database = `DB_NAME=todo\nDB_USER=todo\nDB_PASS=${secret()}\n`
  const connection = { host: server.host, 'ssh-key': server.key, 'known-hosts': server.knownHosts }

  /** As the push of the version's tag does. */
  const deploy =
    (version: string): Act['start'] =>
    async (onLine) => {
      if (version !== 'v1') await project.upgrade(version)
      return await runAction({
        action: 'action.yml',
        cwd: project.workspace,
        onLine,
        inputs: {
          ...connection,
          project: name,
          image: `${world.registry.host}/${name}`,
          'registry-username': world.registry.username,
          'registry-password': world.registry.password,
          'env-file': env + database,
        },
        env: {
          GITHUB_SHA: project.sha,
          GITHUB_REF: `refs/tags/${version}`,
          GITHUB_REF_NAME: version,
          GITHUB_REF_TYPE: 'tag',
        },
      })
    }
  /** As the workflow for it does: without the repository and without the registry. */
  const rollback: Act['start'] = (onLine) =>
    runAction({
      action: 'rollback/action.yml',
      cwd: '/',
      onLine,
      inputs: { ...connection, directory: `deploy/${name}` },
    })

  await play({
    title: 'deploy v1',
    headline: 'the first deploy: build, push, start the database, migrate, start the app',
    start: deploy('v1'),
    outcome: 'deployed',
    serves: 'v1',
  })
  await play({
    title: 'deploy v2',
    headline: 'an upgrade: its migration adds a column, then the app is replaced',
    start: deploy('v2'),
    outcome: 'deployed',
    serves: 'v2',
  })
  await play({
    title: 'deploy v3',
    headline: 'a broken release, it answers 500: this run has to fail and to revert to v2',
    start: deploy('v3'),
    outcome: 'failed',
    serves: 'v2',
  })
  await play({
    title: 'rollback',
    headline: 'to v1, which the host has kept; its code can use the new column',
    start: rollback,
    outcome: 'rolled-back',
    serves: 'v1',
  })
}

/** Shows the steps of a run, and throws when it did not end as it had to. The whole log goes to a file. */
async function play({ title, headline, start, outcome, serves }: Act): Promise<void> {
  console.log(`\n=== ${title}: ${headline}`)
  appendFileSync(log, `\n=== ${title}\n`)
  const run = await start((text) => {
    appendFileSync(log, `${text}\n`)
    for (const line of storyOf(text)) console.log(`  ${line}`)
  })
  const seen = `outcome ${run.outputs['outcome']}, ${await ask(serves)}`
  console.log(`--- ${seen} (${(run.milliseconds / 1000).toFixed(1)} s)`)
  const wanted = `outcome ${outcome}, ${answering(200, serves)}`
  if (seen !== wanted) throw new Error(`${title} had to end with: ${wanted}\n      but ended with: ${seen}`)
}

/** The lines of a log that tell the story: the facts that its steps found, and the first line of a failure. */
function storyOf(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const failure = /^##\[error\](.*)$/.exec(line)?.[1]
    return failure === undefined ? (TOLD.exec(line)?.[1] ?? []) : [`FAILED ${failure}`]
  })
}

/** What the site answers. It has ten seconds to do so from the release: one that was brought back has to start. */
async function ask(release: string): Promise<string> {
  let seen = ''
  for (let tries = 0; tries < 100 && seen !== answering(200, release); tries += 1) {
    if (tries > 0) await pause(100)
    seen = await fetch(site, { signal: AbortSignal.timeout(5_000) }).then(
      (answer) => answering(answer.status, answer.headers.get('x-release')),
      () => `${site} does not answer`,
    )
  }
  return seen
}

function answering(status: number, release: string | null): string {
  return `${site} answers ${status} from release ${release ?? 'unknown'}`
}
