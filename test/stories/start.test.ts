import { expect, test } from '@jest/globals'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFile, chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { run } from '../../src/process.ts'
import { python } from '../stand-in/django/probe.ts'
import { piecesOf } from '../page.ts'
import { runAction } from '../run-action.ts'
import { environment, output } from '../world/docker.ts'
import { bringCompose5, noCompose5 } from '../world/kind.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'

type Workflow = { jobs: { deploy: { steps: { uses: string; with: Record<string, string> }[] } } }

test('docs/start.md, word for word but for names, takes a fresh Django project to a live site', async () => {
  expect(await follow(await (await openWorld()).server('beta'))).toMatch(/Docker Compose version v?2/)
})

const onFive = noCompose5 === '' ? test : test.skip
onFive(`docs/start.md with Compose 5${noCompose5}`, async () => {
  const server = await (await openWorld()).server('beta')
  await bringCompose5(server)
  const plugin = '; install -D /opt/docker-compose-5 ~deploy/.docker/cli-plugins/docker-compose'
  expect(await follow(server, plugin)).toMatch(/Docker Compose version v?5/)
})

test('README.md, word for word but for names, takes an example to a live site', async () => {
  const world = await openWorld()
  const server = await world.server('beta')
  const port = await server.port()
  const name = `readme-${randomBytes(4).toString('hex')}`
  const home = await mkdtemp(join(tmpdir(), 'deploy-django-readme-'))
  const repository = join(home, 'todo')
  const type = async (program: string, ...words: string[]): Promise<string> =>
    output(program, await run(program, words, { cwd: repository, env: environmentIn(home) }))
  const page = await readFile(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')
  const [makeKey = '', pushTag = ''] = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, text]) => text)
  const [, workflow = ''] = /^`\.github\/workflows\/deploy\.yml`:\n\n```yaml\n([^]*?)^```$/m.exec(page) ?? []
  const made = `useradd --create-home --groups docker "$0" && install -d -m 700 -o "$0" "/home/$0/.ssh" &&
    install -m 600 -o "$0" ~deploy/.ssh/authorized_keys "/home/$0/.ssh"`
  try {
    await meetServer(server, home)
    output('useradd', await server.exec(['sh', '-c', made, name], { as: 'root' }))
    await cp(fileURLToPath(new URL('../../examples/todo', import.meta.url)), repository, { recursive: true })
    await write(join(repository, '.github/workflows/deploy.yml'), workflow)
    const said = await type('sh', '-ec', makeKey.replaceAll('deploy@', `${name}@`))
    await write(join(home, 'secret/SSH_KEY'), await readFile(join(repository, 'deploy-key'), 'utf8'))
    await write(join(home, 'variable/KNOWN_HOSTS'), said.replace(/^(?!\[127).*\n/gm, ''))
    const values = {
      SECRET_KEY: 'x'.repeat(50),
      ALLOWED_HOSTS: '127.0.0.1',
      DB_NAME: 'todo',
      DB_USER: 'todo',
      DB_PASS: 'y',
    }
    const env = Object.entries({ ...values, PORT: String(port) }).map(([key, value]) => `${key}=${value}\n`)
    await write(join(home, 'secret/ENV_FILE'), env.join(''))
    const ada = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com']
    await type('git', 'init', '--quiet', '--initial-branch', 'main')
    await type('git', 'init', '--quiet', '--bare', join(home, 'origin'))
    await type('git', 'remote', 'add', 'origin', join(home, 'origin'))
    await type('git', 'add', '--all', '--', ':!deploy-key', ':!deploy-key.pub')
    await type('git', ...ada, 'commit', '--quiet', '--message', 'The example')
    await type('sh', '-ec', pushTag)
    const sha = await type('git', 'rev-parse', 'v1')
    expect(await type('git', 'ls-remote', 'origin', 'refs/tags/v1')).toContain(sha)

    const { username, password, host } = world.registry
    const deployed = await runAction({
      action: 'action.yml',
      cwd: repository,
      inputs: {
        ...(await inputsOf(join(repository, '.github/workflows/deploy.yml'), home)),
        host: `${name}@127.0.0.1:${server.sshPort}`,
        image: `${host}/${name}`,
        'registry-username': username,
        'registry-password': password,
      },
      env: {
        GITHUB_SHA: sha,
        GITHUB_REPOSITORY: `owner/${name}`,
        GITHUB_REF: 'refs/tags/v1',
        GITHUB_REF_NAME: 'v1',
        GITHUB_REF_TYPE: 'tag',
      },
    })
    expect(deployed.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
    expect((await fetch(server.url(port))).status).toBe(200)
  } finally {
    await server.remove(name, `deploy/${name}`, port)
    await server.exec(['userdel', '--force', '--remove', name], { as: 'root' })
    await rm(home, { recursive: true, force: true })
  }
})

/** Follows the page to its end, with more commands where its user is made; gives what all commands have said. */
async function follow(server: Server, more = ''): Promise<string> {
  const world = await openWorld()
  const port = await server.port()
  const name = `start-${randomBytes(4).toString('hex')}`
  const home = await mkdtemp(join(tmpdir(), 'deploy-django-start-'))
  const repository = join(home, 'mysite')
  const env = environmentIn(home)
  const type = async (program: string, ...words: string[]): Promise<string> =>
    output(program, await run(program, words, { cwd: repository, env }))

  await meetServer(server, home)
  const asNamed = (text: string): string =>
    text
      .replace(/(?<=useradd .* deploy)/, more)
      .replaceAll(/(?<= )deploy(?=[@'; ])|(?<=~)deploy/g, name)
      .replaceAll('cd deploy/mysite', `cd deploy/${name}`)
      .replaceAll('ALLOWED_HOSTS=example.com', 'ALLOWED_HOSTS=127.0.0.1')
      .replaceAll("'80:8000'", `'${port}:8000'`)

  try {
    await mkdir(repository)
    await type(join(dirname(python()), 'django-admin'), 'startproject', 'mysite', '.')
    await type('git', 'init', '--quiet', '--initial-branch', 'main')
    await type('git', 'init', '--quiet', '--bare', join(home, 'origin'))
    await type('git', 'remote', 'add', 'origin', join(home, 'origin'))
    await type('git', 'config', '--global', 'user.name', 'Ada')
    await type('git', 'config', '--global', 'user.email', 'ada@example.com')
    await type('git', 'add', '--all')
    await type('git', 'commit', '--quiet', '--message', 'startproject')

    const page = await readFile(fileURLToPath(new URL('../../docs/start.md', import.meta.url)), 'utf8')
    const seen: string[] = []
    const last = piecesOf(page).pop()
    for (const piece of piecesOf(page).slice(0, -1)) {
      if (piece.kind === 'file') await write(join(repository, piece.path), asNamed(piece.text))
      else if (piece.kind === 'end') await appendFile(join(repository, piece.path), piece.text)
      // The servers of the world have Docker.
      else if (!piece.text.includes('get.docker.com')) seen.push(await type('sh', '-ec', asNamed(piece.text)))
    }
    const sha = await type('git', 'rev-parse', 'origin/main')
    expect(await type('git', 'status', '--porcelain')).toBe('')

    const deployed = await runAction({
      action: 'action.yml',
      cwd: repository,
      inputs: {
        ...(await inputsOf(join(repository, '.github/workflows/deploy.yml'), home)),
        host: `${name}@127.0.0.1:${server.sshPort}`,
        image: `${world.registry.host}/${name}`,
        'registry-username': world.registry.username,
        'registry-password': world.registry.password,
      },
      env: {
        GITHUB_SHA: sha,
        GITHUB_REPOSITORY: `owner/${name}`,
        GITHUB_REF: 'refs/heads/main',
        GITHUB_REF_NAME: 'main',
        GITHUB_REF_TYPE: 'branch',
      },
    })
    expect(deployed.annotations).toEqual([])
    expect(deployed.summary).toContain(`${name} serves sha-${sha.slice(0, 12)}`)
    const ask = (path: string): Promise<Response> => fetch(server.url(port) + path)
    expect((await ask('/')).status).toBe(404)
    expect(await (await ask('/admin/login/')).text()).toContain('Django administration')
    expect((await ask('/static/admin/css/base.css')).status).toBe(200)

    const words = ['ada', 'ada@example.com', 'a-password-of-Ada', 'a-password-of-Ada']
    expect(await talk(asNamed(last?.text ?? ''), env, words)).toContain('Superuser created successfully.')
    return seen.join('')
  } finally {
    await server.remove(name, `deploy/${name}`, port)
    await server.exec(['userdel', '--force', '--remove', name], { as: 'root' })
    await rm(home, { recursive: true, force: true })
  }
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

const environmentIn = (home: string): NodeJS.ProcessEnv => ({
  ...environment,
  HOME: home,
  PATH: `${home}/bin:${environment['PATH']}`,
  SHELL: '/bin/sh',
})

/** The names in the pages: example.com is a server of the world, its users are everybody's, and GitHub is a folder. */
async function meetServer(server: Server, home: string): Promise<void> {
  await write(
    join(home, '.ssh/config'),
    `Host example.com
  HostName 127.0.0.1
  Port ${server.sshPort}
  IdentitiesOnly yes
  UserKnownHostsFile ${home}/.ssh/known
  StrictHostKeyChecking accept-new
Match user root
  IdentityFile ${server.keyPath}
`,
  )
  const ssh = `/usr/bin/ssh -F ${home}/.ssh/config`
  const stands = {
    ssh: `exec ${ssh} "$@"`,
    // The one who copies the key can log in already.
    'ssh-copy-id': `exec ${ssh} -i ${server.keyPath} "$3" 'cat >>.ssh/authorized_keys' <"$2"`,
    'ssh-keyscan': `for host; do :; done; [ "$host" = example.com ] && exec /usr/bin/ssh-keyscan -p ${server.sshPort} 127.0.0.1`,
    gh: `[ "$2" = set ] && mkdir -p ${home}/$1 && cat >${home}/$1/$3`,
  }
  for (const [program, script] of Object.entries(stands)) {
    await write(join(home, 'bin', program), `#!/bin/sh\n${script}\n`)
    await chmod(join(home, 'bin', program), 0o755)
  }
}

/** What the deploy step of a workflow is given, with the secrets and variables that `gh` has put into the folder. */
async function inputsOf(path: string, folder: string): Promise<Record<string, string>> {
  const workflow = parse(await readFile(path, 'utf8')) as Workflow
  const step = workflow.jobs.deploy.steps.find(({ uses }) => uses.startsWith('owner/deploy-django@'))
  const given = Object.entries(step?.with ?? {}).map(async ([input, value]) => {
    const [, kind, name] = /^\$\{\{ (secret|var)s\.(\w+) \}\}$/.exec(value) ?? []
    if (kind === undefined) return [input, value]
    return [input, await readFile(join(folder, kind === 'var' ? 'variable' : kind, name ?? ''), 'utf8')]
  })
  return Object.fromEntries(await Promise.all(given))
}

/** Types commands at a terminal, and one answer at each prompt; gives what was to be read there. */
function talk(commands: string, env: NodeJS.ProcessEnv, answers: readonly string[]): Promise<string> {
  const terminal = spawn('script', ['-qec', commands, '/dev/null'], { env, stdio: 'pipe', timeout: 60_000 })
  const rest = [...answers]
  let read = ''
  let since = ''
  terminal.stdout.on('data', (data) => {
    read += String(data)
    since += String(data)
    if (!/: $/.test(since)) return
    since = ''
    terminal.stdin.write(`${rest.shift()}\n`)
  })
  return new Promise((resolve) => terminal.on('close', () => resolve(read)))
}
