import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'
import { codes, giveWord, meanwhile, patientMigration, tell, type Story } from './story.ts'
import { until } from '../until.ts'

type Reported = {
  deployments: { release: string; outcome: string; step?: string }[]
  lock?: string
  troubles: string[]
}

/** Prints the arguments of processes in which the text of its input is found, until the mark is gone. */
const WATCH = `umask 077
cat >"/run/$1.text"
touch "/run/$1.watch"
while [ -e "/run/$1.watch" ]; do grep -haF -f "/run/$1.text" /proc/[0-9]*/cmdline 2>/dev/null; sleep 0.02; done | tr '\\0' ' '
rm "/run/$1.text"`

// The tests below are one story, in order.
describe('build, exec and status around two deploys', () => {
  let story: Story
  let images = ''
  beforeAll(async () => {
    story = await tell('todo')
  })
  afterAll(async () => {
    await story[Symbol.asyncDispose]()
  })

  /** Everything in the project's folder on the server, with the times of its files. */
  const files = async (): Promise<string> =>
    (await story.server.exec(['find', `deploy/${story.name}`, '-printf', '%p %T@ %s\\n'])).stdout
  const reported = (run: { outputs: Record<string, string> }): Reported =>
    JSON.parse(run.outputs['status'] ?? '') as Reported

  test('where nothing was ever deployed, that is the status, and nothing can be run', async () => {
    const run = await story.status()
    expect(run).toMatchObject({ code: 0, annotations: [], outputs: { serving: '', healthy: 'false' } })
    expect(run.summary).toContain('Nothing was deployed')
    expect(codes(await story.exec('true'))).toEqual(['Deploy Django: nothing-deployed'])
    expect(await files()).toBe('')
  })

  test('one job builds, another deploys these digests and builds nothing', async () => {
    const built = await story.build('v1')
    expect(built).toMatchObject({ annotations: [], outputs: { outcome: 'built', version: 'v1' } })
    images = built.outputs['images'] ?? ''
    const run = await story.deploy('v1', { inputs: { images } })
    expect(run.annotations).toEqual([])
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1', images })
    expect(run.log).not.toMatch(/Bake|Push/)
    expect(await story.migrations()).toEqual(['0001_initial'])
    await story.expectWhole()
    const other = { inputs: { images, 'dry-run': 'true' }, env: { GITHUB_SHA: 'f'.repeat(40) } }
    const warned = await story.deploy('v1', other)
    expect(warned.outputs['outcome']).toBe('planned')
    expect(warned.annotations).toEqual([
      expect.objectContaining({
        kind: 'warning',
        message: expect.stringMatching(/commit [0-9a-f]{40}, .* from commit f{40}$/),
      }),
    ])
  })

  test('images that are not those of the checkout stop the deploy before anything is sent', async () => {
    const before = await files()
    const deploy = async (given: string): Promise<unknown> =>
      codes(await story.deploy('v1', { inputs: { images: given } }))
    expect(await deploy('registry/app:v1')).toEqual(['Deploy Django: input-invalid'])
    expect(await deploy(images.replace('{', '{"other":"a@sha256:' + 'a'.repeat(64) + '",'))).toEqual([
      'Deploy Django: images-mismatch',
    ])
    expect(await deploy(images.replaceAll('127.0.0.1:5001/', 'registry.example.com/'))).toEqual([
      'Deploy Django: images-mismatch',
    ])
    expect(await deploy(images.replace(/sha256:[0-9a-f]{8}/g, 'sha256:00000000'))).toEqual([
      'Deploy Django: pull-failed',
    ])
    expect(await files()).toBe(before)
  })

  test('lines run as they are written; what they print is redacted, their exit code is that of the step', async () => {
    const lines = [
      `echo 'one  "two"' "$(echo $((1 + 2)))" \\`,
      `  '$HOME; exit 9'`,
      'cat; python manage.py shell -c "print(6 * 7)"',
      'printf "%s\\n" "$SECRET_KEY" "$DATABASE_URL$DB_PASS" >&2; env | grep GREETING',
      'exit 3 # }',
    ]
    const run = await story.exec(lines.join('\n'), { inputs: { env: `GREETING=hello "you" $HOME\n` } })
    expect(run.code).toBe(1)
    expect(codes(run)).toEqual(['Deploy Django: command-failed'])
    expect(run.outputs).toMatchObject({ 'exit-code': '3' })
    const said = run.raw.split('\n')
    expect(said).toEqual(
      expect.arrayContaining(['one  "two" 3 $HOME; exit 9', '42', 'GREETING=hello "you" $HOME', '***']),
    )
    for (const secret of [story.env['SECRET_KEY'] ?? '', story.env['DB_PASS'] ?? '']) {
      expect(JSON.stringify(run)).not.toContain(secret)
    }
    const database = await story.exec('psql -U todo -tAc "select 6 * 7"', { inputs: { service: 'db' } })
    expect(database).toMatchObject({ code: 0, outputs: { 'exit-code': '0' } })
    expect(database.log).toMatch(/^42$/m)
    const missing = await story.exec('true', { inputs: { service: 'nobody' } })
    expect(codes(missing)).toEqual(['Deploy Django: service-missing'])
    expect(missing.annotations[0]?.message).toContain('running: ')
  })

  test('a cancelled job ends what it has started in the container', async () => {
    const lines = 'sleep 987654 & echo started; sleep 987654'
    const run = await story.exec(lines, { kill: { at: /^started$/, signal: 'SIGINT' } })
    expect(codes(run)).toEqual(['Deploy Django: aborted'])
    expect(run.annotations[0]?.message).toContain('SIGTERM')
    const top = (): Promise<string> => story.server.docker('top', `${story.name}-project-1`, '-eo', 'pid,args')
    await until('what was started has ended', async () => !(await top()).includes('sleep 987654'), 5)
    await story.expectWhole()
  })

  test('the superuser recipe: the password is in no argument, no log and no file', async () => {
    const { server, name } = story
    const password = `super-"${randomBytes(9).toString('hex')}`
    const watching = server.exec(['sh', '-c', WATCH, 'sh', name], { as: 'root', stdin: password })
    await server.exec(['sh', '-c', 'until [ -e "$1" ]; do sleep 0.05; done', 'sh', `/run/${name}.watch`])
    const env = `DJANGO_SUPERUSER_USERNAME=ada\nDJANGO_SUPERUSER_EMAIL=ada@example.com\nDJANGO_SUPERUSER_PASSWORD=${password}`
    const run = await story.exec('python manage.py createsuperuser --noinput', { inputs: { env } })
    expect(run).toMatchObject({ code: 0, outputs: { 'exit-code': '0' } })
    expect(run.log).toContain('Superuser created successfully.')
    const login = `from django.contrib.auth import authenticate; import os
print('logged in as', authenticate(username='ada', password=os.environ['TRY']))`
    const tried = await story.exec(`python manage.py shell -c "${login}"; echo "$TRY"`, {
      inputs: { env: `TRY_PASSWORD=${password}\nTRY=${password}` },
    })
    expect(tried.raw).toContain('logged in as ada')
    await server.exec(['rm', `/run/${name}.watch`], { as: 'root' })
    expect((await watching).stdout).toBe('')
    expect(run.raw + tried.raw).not.toContain(password)
    expect((await server.exec(['grep', '-rlF', '-e', password, `deploy/${name}`])).stdout).toBe('')
    const again = await story.exec('python manage.py createsuperuser --noinput', { inputs: { env } })
    expect(again.annotations[0]?.message).toContain('That username is already taken')
  })

  test('while a migration runs, status reports who holds the lock, and exec disturbs nothing', async () => {
    await story.change('patient', patientMigration('0002_patient', '0001_initial'))
    const run = await meanwhile(
      (more) => story.deploy('patient', more),
      /0002_patient waits/,
      async () => {
        const [status, exec] = await Promise.all([story.status(), story.exec('python manage.py check')])
        expect(status).toMatchObject({ code: 0, outputs: { serving: 'v1' } })
        expect(reported(status)).toMatchObject({
          lock: expect.stringContaining('patient-'),
          deployments: [{ outcome: 'running', step: 'migrate' }, { outcome: 'committed' }],
        })
        expect(exec.code).toBe(0)
        await giveWord(story, 'migrate')
      },
    )
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: 'patient' })
    await story.expectWhole()
  })

  test('status reports every part of a healthy site, and changes nothing', async () => {
    const before = [await files(), ...(await story.containers(true))]
    const run = await story.status()
    expect(run).toMatchObject({ code: 0, annotations: [], outputs: { serving: 'patient', healthy: 'true' } })
    expect(JSON.parse(run.outputs['migrations'] ?? '')).toEqual(
      expect.arrayContaining([{ name: 'core.0002_patient', state: 'applied' }]),
    )
    expect(Object.keys(JSON.parse(run.outputs['images'] ?? '') as object)).toEqual(
      Object.keys(JSON.parse(images) as object),
    )
    expect(reported(run)).toMatchObject({
      troubles: [],
      deployments: [{ outcome: 'committed' }, { outcome: 'committed' }],
    })
    expect(run.summary).toContain(`${story.name} serves patient`)
    expect(run.summary).toMatch(/releases \d+ MiB, their images at most [1-9]\d* MiB, free [1-9]\d* MiB/)
    expect([await files(), ...(await story.containers(true))]).toEqual(before)
    // A site that does not answer is red in the report, not in the step.
    await story.server.docker('stop', `${story.name}-project-1`)
    const stopped = await story.status()
    expect(stopped).toMatchObject({ code: 0, outputs: { serving: 'patient', healthy: 'false' } })
    expect(reported(stopped).troubles).toContain('not every container of the release runs')
  })
})
