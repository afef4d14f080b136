import { describe, expect, test } from '@jest/globals'
import { generateKeyPairSync } from 'node:crypto'
import { groups, inputs } from '../../../src/inputs/contract.ts'
import { Problems, explain } from '../../../src/errors.ts'
import {
  isPullRequest,
  readCommand,
  readDeployInputs,
  readExecInputs,
  readJudgeInputs,
  readPage,
  readRollbackInputs,
  readRunner,
  readStepEnvironment,
  secretsOf,
} from '../../../src/inputs/inputs.ts'

const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const fingerprint = `SHA256:${'a'.repeat(43)}`

const github = {
  GITHUB_SHA: '0123456789abcdef0123456789abcdef01234567',
  GITHUB_REF_NAME: 'main',
  GITHUB_REF_TYPE: 'branch',
  GITHUB_REPOSITORY: 'octo/todo',
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_RUN_ID: '17000000001',
  GITHUB_RUN_ATTEMPT: '2',
  GITHUB_ACTOR: 'octo',
  GITHUB_WORKSPACE: '/home/runner/work/todo/todo',
  RUNNER_TEMP: '/home/runner/work/_temp',
}

type Given = Record<string, string>
const env = (given: Given): NodeJS.ProcessEnv => ({
  ...github,
  ...Object.fromEntries(Object.entries(given).map(([name, text]) => [`INPUT_${name.toUpperCase()}`, text])),
})
const connection = { host: 'deploy@example.org', 'ssh-key': key, 'known-hosts': fingerprint }
const deploy = (given: Given = {}) => readDeployInputs(env({ ...connection, ...given }))

/** The problems of a deploy with these inputs, each as text. */
function problems(given: Given, facts: Given = {}): string[] {
  try {
    readDeployInputs({ ...env({ ...connection, ...given }), ...facts })
  } catch (error) {
    if (error instanceof Problems) return error.problems.map((each) => explain(each))
    throw error
  }
  return []
}
const problem = (given: Given, facts: Given = {}): string => {
  const all = problems(given, facts)
  expect(all).toHaveLength(1)
  return all[0] ?? ''
}

describe('deploy', () => {
  test('needs no more than the connection', () => {
    expect(deploy()).toEqual({
      host: { user: 'deploy', address: 'example.org', port: 22 },
      sshKey: key,
      knownHosts: { lines: [], fingerprints: [fingerprint] },
      version: 'sha-0123456789ab',
      composeFiles: [],
      project: undefined,
      directory: undefined,
      profiles: [],
      services: [],
      updateServices: [],
      scale: [],
      image: undefined,
      set: [],
      registryUsername: undefined,
      registryPassword: undefined,
      githubToken: undefined,
      envFile: undefined,
      envFiles: [],
      files: [],
      manage: ['python', 'manage.py'],
      migrate: 'auto',
      drift: 'warn',
      acceptMigrations: [],
      databases: ['default'],
      migrateTimeout: 3_600_000,
      migrateLockTimeout: 5_000,
      backup: 'auto',
      collectstatic: 'auto',
      try: 'auto',
      healthUrl: { kind: 'auto' },
      healthHeaders: {},
      healthStatus: ['2xx', '3xx'],
      healthTimeout: undefined,
      url: undefined,
      onFailure: 'rollback',
      keepReleases: 5,
      comment: false,
      dryRun: false,
      planDigest: undefined,
      force: false,
    })
  })

  test('an empty input counts as not given', () => {
    expect(deploy({ migrate: '', 'dry-run': ' ', 'keep-releases': '\n' })).toMatchObject({
      migrate: 'auto',
      dryRun: false,
      keepReleases: 5,
    })
  })

  test('reports every problem at once, each with the value and the fix', () => {
    expect.assertions(1)
    try {
      readDeployInputs(env({ host: 'example.org', migrate: 'sometimes', 'dry-run': 'yes' }))
    } catch (error) {
      expect(explain(error).split('\n')).toEqual([
        '5 things need a change:',
        'Input host cannot be used: it does not have the form user@host [input-invalid]',
        '  seen:  example.org',
        '  fix:   write user@host or user@host:port, an IPv6 address in brackets: deploy@[2001:db8::1]:22',
        'Input ssh-key is empty [input-missing]',
        '  why:   the secret does not exist, belongs to an environment that the job does not name, or may not be read by this event (a fork, Dependabot)',
        '  fix:   add a secret and pass it: ssh-key: ${{ secrets.SSH_KEY }}',
        'Input known-hosts is empty [input-missing]',
        '  fix:   set the input known-hosts (SSH keys that identify the host: the lines of `ssh-keyscan <host>`, or `SHA256:` fingerprints)',
        'Input migrate cannot be used: it is not one of the allowed values [input-invalid]',
        '  seen:  sometimes',
        '  fix:   use one of: auto, before, stopped, external, none',
        'Input dry-run cannot be used: it is neither true nor false [input-invalid]',
        '  seen:  yes',
        '  fix:   use true or false, in lower case',
        '  see:   docs/troubleshooting.md#input-invalid',
        '         docs/troubleshooting.md#input-missing',
      ])
    }
  })

  test('half a registry login is named', () => {
    expect(problem({ 'registry-username': 'octo' })).toContain('registry-password is empty')
    expect(problem({ 'registry-password': 'hunter22' })).toContain('registry-username is empty')
  })
})

describe('accept-migrations', () => {
  test.each([
    ['', []],
    ['all', ['all']],
    [
      'shop.0007_gone\nblog_2.0001_initial_squashed_0009-x\n',
      ['shop.0007_gone', 'blog_2.0001_initial_squashed_0009-x'],
    ],
    ['shop.0007_gone, shop.0008_named', ['shop.0007_gone', 'shop.0008_named']],
  ])('%j', (text, names) => expect(deploy({ 'accept-migrations': text }).acceptMigrations).toEqual(names))

  test.each(['0007_gone', 'shop', 'shop/0007_gone', 'shop.0007_gone.py', 'ALL', '.0007'])('refuses %s', (text) => {
    expect(problem({ 'accept-migrations': text })).toContain('write app.0007_name as the error shows it')
  })
})

describe('databases', () => {
  test.each([
    ['', ['default']],
    ['default archive', ['default', 'archive']],
    ['archive, default\n', ['archive', 'default']],
  ])('%j', (text, aliases) => expect(deploy({ databases: text }).databases).toEqual(aliases))

  test.each([
    ['archive', 'add it where it belongs in the order: default archive'],
    ['default archive default', 'default is there twice'],
    ['default sh:op', 'sh:op is not the name of a database'],
    ['default -x', '-x is not the name of a database'],
  ])('refuses %j', (text, said) => expect(problem({ databases: text })).toContain(said))
})

describe('registry-password', () => {
  const key = '{\n  "type": "service_account",\n  "private_key": "-----BEGIN\\nMIIE\\n-----END"\n}'
  const password = (text: string) =>
    deploy({ 'registry-username': '_json_key', 'registry-password': text }).registryPassword
  const wrapped = `${'A'.repeat(76)}\n${'B'.repeat(76)}\nQ0M=`

  test.each([
    ['a token and the line end that copying adds', 'ghp_0123\n', 'ghp_0123'],
    ['a JSON key as Google gives it', key, key],
    ['with a line end behind it', `${key}\n`, key],
    ['with the line ends of Windows', `${key}\n`.replaceAll('\n', '\r\n'), key],
    ['with a byte order mark', `\uFEFF${key}`, key],
    ['on one line', '{"type":"service_account"}', '{"type":"service_account"}'],
    ['base64 as `base64` wraps it', wrapped, wrapped],
  ])('%s', (_, text, kept) => expect(password(text)).toBe(kept))

  test.each([
    ['two lines', 'open\nsesame'],
    ['half of a JSON key', key.slice(0, 50)],
    ['a list', '[\n"a"\n]'],
    ['lines of different lengths', `${'A'.repeat(70)}\n${'B'.repeat(76)}\nQ0M=`],
  ])('%s are refused, and not shown', (_, text) => {
    const said = problem({ 'registry-username': '_json_key', 'registry-password': text })
    expect(said).toContain('Input registry-password cannot be used: it has more than one line')
    expect(said).not.toContain(text.split('\n')[1])
  })

  test('is masked line by line, and as it is sent', () => {
    const secrets = secretsOf(deploy({ 'registry-username': '_json_key', 'registry-password': key }))
    expect(secrets).toEqual(
      expect.arrayContaining([
        '"private_key": "-----BEGIN\\nMIIE\\n-----END"',
        '{"type": "service_account","private_key": "-----BEGIN\\nMIIE\\n-----END"}',
      ]),
    )
    expect(secrets.filter((secret) => secret.length < 4)).toEqual([])
  })
})

describe('host', () => {
  test.each([
    ['deploy@example.org', { user: 'deploy', address: 'example.org', port: 22 }],
    ['root@192.0.2.7:2222', { user: 'root', address: '192.0.2.7', port: 2222 }],
    ['a.b-c@[::1]', { user: 'a.b-c', address: '::1', port: 22 }],
    ['deploy@[2001:db8::1]:2200', { user: 'deploy', address: '2001:db8::1', port: 2200 }],
  ])('%s', (text, host) => expect(deploy({ host: text }).host).toEqual(host))

  test.each([
    'example.org',
    'deploy@',
    '@example.org',
    '-oProxyCommand=x@example.org',
    'deploy@-oProxyCommand=x',
    'deploy@::1',
    'deploy@[example.org]',
    'deploy@example.org:0',
    'deploy@example.org:65536',
    'deploy@example.org:ssh',
    'deploy@exa mple.org',
    'ssh://deploy@example.org',
    'deploy@example.org\n-oProxyCommand=x',
    'deploy@example.org;id',
    '$(id)@example.org',
    "deploy@'example.org'",
  ])('%s is refused', (text) => expect(problem({ host: text })).toMatch(/^Input host cannot be used/))

  test.each(['deploy@a.org deploy@b.org', 'deploy@a.org,deploy@b.org', 'deploy@a.org\ndeploy@b.org'])(
    'two of them (%j) are distinguished from a typing error',
    (text) => expect(problem({ host: text })).toContain('it names several hosts'),
  )
})

describe('ssh-key', () => {
  const openssh = (cipher: string): string => {
    const body = Buffer.concat([
      Buffer.from('openssh-key-v1\0'),
      Buffer.from([0, 0, 0, cipher.length]),
      Buffer.from(`${cipher}${'x'.repeat(90)}`),
    ])
    const lines = body.toString('base64').match(/.{1,70}/g) ?? []
    return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n')
  }

  test.each([
    ['as it is', openssh('none')],
    ['with Windows line ends', openssh('none').replaceAll('\n', '\r\n')],
    ['without the last line end', openssh('none').trimEnd()],
    ['with spaces around', `\n  ${openssh('none')}\n\n`],
    ['with indented lines', openssh('none').replace(/^/gm, '    ')],
  ])('a key %s comes out as OpenSSH wants it', (_, text) => {
    expect(deploy({ 'ssh-key': text }).sshKey).toBe(openssh('none'))
  })

  test.each([
    ['a public key', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI deploy@laptop', 'this is a public key'],
    [
      'a public key of another form',
      '---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----',
      'a public key',
    ],
    [
      'a public key in PEM',
      '-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----',
      'this is a public key',
    ],
    ['a certificate', 'ssh-ed25519-cert-v01@openssh.com AAAAC3NzaC1lZDI1NTE5AAAAI deploy', 'this is a public key'],
    [
      'an old key with a passphrase',
      '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,22\n\nMIIE\n-----END RSA PRIVATE KEY-----',
      'ssh-keygen -p -N "" -f deploy-key',
    ],
    ['a key in base64', Buffer.from(openssh('none')).toString('base64'), 'in base64'],
    ['a key with the letters \\n', key.trim().replaceAll('\n', '\\n'), 'lost its line ends'],
    ['a PuTTY key', 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none', 'puttygen key.ppk -O private-openssh'],
    ['an OpenSSH key with a passphrase', openssh('aes256-ctr'), 'protected by a passphrase'],
    [
      'a PKCS8 key with a passphrase',
      '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGj\n-----END ENCRYPTED PRIVATE KEY-----',
      'protected by a passphrase',
    ],
    ['a key on one line', key.trim().replaceAll('\n', ' '), 'lost its line ends'],
    ['half a key', key.slice(0, 60), 'not a private key'],
    ['another text', 'hunter2-hunter2', 'not a private key'],
  ])('%s is refused, and not repeated', (_, text, why) => {
    const message = problem({ 'ssh-key': text })
    expect(message).toContain(why)
    expect(message).not.toContain('seen:')
    expect(message).not.toContain(text.slice(0, 30))
  })
})

describe('known-hosts', () => {
  const line = 'example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDZv'

  test('takes the output of ssh-keyscan, hashed and marked lines, and fingerprints', () => {
    const text = [
      '# example.org:22 SSH-2.0-OpenSSH_9.2',
      line,
      '[example.org]:2222,192.0.2.7 ecdsa-sha2-nistp256 AAAAE2VjZHNh= comment',
      '|1|c2FsdA==|aGFzaA== ssh-rsa AAAAB3NzaC1yc2E=',
      '@cert-authority *.example.org ssh-ed25519 AAAAC3Nz',
      '',
      fingerprint,
      `256 ${fingerprint} root@example (ED25519)`,
    ].join('\r\n')
    const { lines, fingerprints } = deploy({ 'known-hosts': text }).knownHosts
    expect(lines).toHaveLength(4)
    expect(lines[0]).toBe(line)
    expect(fingerprints).toEqual([fingerprint, fingerprint])
  })

  test.each(['example.org', 'ssh-ed25519 AAAAC3Nz', 'SHA256:short', 'MD5:00:11', '# nothing else'])(
    '%s is refused',
    (text) => expect(problem({ 'known-hosts': text })).toContain('ssh-keyscan <host>'),
  )
})

describe('a value that is proposed is accepted itself', () => {
  test.each([
    ['image', 'Ghcr.io/Octo/Todo', 'ghcr.io/octo/todo'],
    ['image', 'ghcr.io/octo/Todo:v1@sha256:aa', 'ghcr.io/octo/todo'],
    ['image', 'r.io:5000/todo:v1', 'r.io:5000/todo'],
    ['image', 'x$(id):v1', undefined],
    ['image', 'x$(ID)', undefined],
    ['image', '@', undefined],
    ['version', 'rollback-1', 'v-rollback-1'],
    ['version', '/adopted-x', 'v-adopted-x'],
    ['version', 'release/1.0', 'release-1.0'],
    ['version', `-${'x'.repeat(200)}`, 'x'.repeat(128)],
    ['version', `rollback-${'x'.repeat(128)}`, `v-rollback-${'x'.repeat(117)}`],
    ['version', '§', 'v1'],
  ])('%s: %s', (name, given, proposal) => {
    const [, proposed] = /fix: {3}(?:use|set version:) ([^\s;]+)(?:;| \(|$)/m.exec(problem({ [name]: given })) ?? []
    expect(proposed).toBe(proposal)
    if (proposed !== undefined) expect(() => deploy({ [name]: proposed })).not.toThrow()
  })
})

describe('version', () => {
  test('is the name of the tag where one is built', () => {
    const facts = { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: 'v1.4.0' }
    expect(readDeployInputs({ ...env(connection), ...facts }).version).toBe('v1.4.0')
    expect(deploy({ version: '2026.11' }).version).toBe('2026.11')
  })

  test('a tag that is no image tag is refused', () => {
    const facts = { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: 'release/1.4' }
    expect(problem({}, facts)).toContain('"release/1.4" cannot be one')
    expect(problem({}, facts)).toContain('set version: release-1.4 ')
  })

  test.each([
    ['v1/x', 'v1-x'],
    ['1.0+x', '1.0-x'],
    ['-v1', 'v1'],
    ['..', 'v1'],
    ['v 1;$(id)', 'v-1-id'],
  ])('%s is refused, and %s proposed', (text, proposed) => {
    expect(problem({ version: text })).toContain(`set version: ${proposed} (`)
  })

  test.each([
    '-v1',
    '.v1',
    'a b',
    'a/b',
    '../x',
    'x'.repeat(129),
    'ü',
    'rollback-1',
    'adopted-1',
    "v'1",
    'v"1',
    'v;1',
    'v$(id)',
    'a\nb',
    '..',
    'v1`',
  ])('%s is refused', (text) => expect(problem({ version: text })).toMatch(/^Input version cannot be used/))

  test('a rollback may go to an adopted release', () => {
    expect(readRollbackInputs(env({ ...connection, version: 'adopted-20261121' })).version).toBe('adopted-20261121')
    expect(readRollbackInputs(env(connection)).version).toBeUndefined()
  })
})

describe('names and paths', () => {
  test('are taken', () => {
    expect(
      deploy({
        project: 'todo_1-a',
        directory: '~/deploy/todo/',
        services: 'web, worker\nbeat',
        profiles: 'prod, *',
        image: 'registry.example.org:5000/Team/todo'.toLowerCase(),
        'compose-files': 'compose.yaml\n./docker//compose.prod.yml\n',
        files: 'nginx/default.conf',
        set: '*.cache-from=type=gha\nweb.args.VERSION=1 2',
        manage: 'uv run python src/manage.py',
      }),
    ).toMatchObject({
      project: 'todo_1-a',
      directory: 'deploy/todo',
      services: ['web', 'worker', 'beat'],
      profiles: ['prod', '*'],
      image: 'registry.example.org:5000/team/todo',
      composeFiles: ['compose.yaml', 'docker/compose.prod.yml'],
      files: ['nginx/default.conf'],
      set: ['*.cache-from=type=gha', 'web.args.VERSION=1 2'],
      manage: ['uv', 'run', 'python', 'src/manage.py'],
    })
    expect(deploy({ directory: '/srv/todo' }).directory).toBe('/srv/todo')
  })

  test.each([
    ['project', 'Todo'],
    ['project', '_todo'],
    ['project', 'a'.repeat(101)],
    ['directory', '..'],
    ['directory', 'deploy/../../etc'],
    ['directory', '-rf'],
    ['directory', 'deploy/-rf'],
    ['directory', 'my site'],
    ['directory', 'deploy;id'],
    ['directory', '$HOME/x'],
    ['directory', '`id`'],
    ['directory', 'deploy//todo'],
    ['directory', '/'],
    ['services', 'web;id'],
    ['services', '-web'],
    ['image', 'ghcr.io/octo/todo:v1'],
    ['image', 'ghcr.io/octo/todo@sha256:abc'],
    ['image', 'ghcr.io/Octo/todo'],
    ['image', 'ghcr.io/octo/'],
    ['compose-files', '../compose.yml'],
    ['compose-files', '/etc/passwd'],
    ['compose-files', '-f'],
    ['files', 'a\tb'],
    ['files', 'a\\b'],
    ['set', 'cache'],
    ['set', '--push'],
    ['manage', 'sh -c "python manage.py"'],
    ['manage', 'python $X'],
  ])('%s: %s is refused', (name, text) =>
    expect(problem({ [name]: text })).toMatch(new RegExp(`^Input ${name} cannot be used`)),
  )

  /** What nobody names a thing, unless by mistake or with a plan. */
  const nasty = ['a b', "a'b", 'a"b', 'a;b', 'a$(id)', 'a`id`', 'a\\b', 'a\tb', '-a', '..', '../a', 'a|b', 'a>b', 'a&b']
  const names = ['project', 'version', 'image', 'directory', 'profiles', 'services'] as const
  // These take several words.
  const isTaken = (name: string, text: string): boolean =>
    ['profiles', 'services'].includes(name) && /^a\sb$/.test(text)

  test.each(names.flatMap((name) => nasty.filter((text) => !isTaken(name, text)).map((text) => [name, text] as const)))(
    '%s: %j is refused',
    (name, text) => expect(problem({ [name]: text })).toMatch(new RegExp(`^Input ${name} cannot be used`)),
  )

  test.each(['a\nb', '..', 'a/../../b', '-a', '/a', 'a\\b', 'a\tb'])('compose-files and files: %j', (text) => {
    for (const name of ['compose-files', 'files']) {
      // Two lines are two paths.
      if (text === 'a\nb') expect(problems({ [name]: text })).toEqual([])
      else expect(problem({ [name]: text })).toMatch(new RegExp(`^Input ${name} cannot be used`))
    }
  })

  test('a file may have a name that a shell would trip over: it never meets one', () => {
    const odd = ["it's.yaml", 'a b.yaml', '$(id).yaml', 'a;b.yaml', 'a"b.yaml']
    expect(deploy({ 'compose-files': odd.join('\n'), files: odd.join('\n') })).toMatchObject({
      composeFiles: odd,
      files: odd,
    })
  })

  test('the fix of a tagged or capital image is the name itself', () => {
    expect(problem({ image: 'localhost:5000/todo:v1' })).toMatch(/use localhost:5000\/todo$/m)
    expect(problem({ image: 'ghcr.io/Octo/Todo' })).toMatch(/use ghcr.io\/octo\/todo$/m)
    expect(problem({ image: 'Localhost:5000/Todo:v1@sha256:0' })).toMatch(/use localhost:5000\/todo$/m)
  })
})

test.each(['x$(id)', 'x:$(id)', 'X y:1', 'ghcr.io/o/r:v1/', 'a@b c', '-x:1', 'x@$(id)', 'a//b:1'])(
  'the fix of image: %s can be used',
  (image) => {
    const [, name = ''] = /use (?:a name such as )?(\S+)$/m.exec(problem({ image })) ?? []
    expect(name).not.toBe('')
    expect(problems({ image: name })).toEqual([])
  },
)

describe('times, numbers, statuses, addresses', () => {
  test('are taken', () => {
    expect(
      deploy({
        'migrate-timeout': '90s',
        'migrate-lock-timeout': '500ms',
        'health-timeout': '5m',
        'keep-releases': '2',
        scale: 'web=3\n worker=0 ',
        url: 'https://example.com',
        'on-failure': 'keep',
        'health-status': '204 401',
        'health-headers': 'Host: example.org\nX-Check:  a: b ',
        'health-url': 'http://proxy/healthz\nhttps://web:8443/?a=1',
        'plan-digest': 'ab'.repeat(32),
        force: 'true',
      }),
    ).toMatchObject({
      migrateTimeout: 90_000,
      migrateLockTimeout: 500,
      healthTimeout: 300_000,
      keepReleases: 2,
      scale: [
        { service: 'web', count: 3 },
        { service: 'worker', count: 0 },
      ],
      url: 'https://example.com',
      onFailure: 'keep',
      healthStatus: ['204', '401'],
      healthHeaders: { Host: 'example.org', 'X-Check': 'a: b' },
      healthUrl: { kind: 'urls', urls: ['http://proxy/healthz', 'https://web:8443/?a=1'] },
      planDigest: 'ab'.repeat(32),
      force: true,
    })
    expect(deploy({ 'health-url': 'none' }).healthUrl).toEqual({ kind: 'none' })
  })

  test.each([
    ['migrate-timeout', '90'],
    ['migrate-timeout', '0s'],
    ['migrate-timeout', '25h'],
    ['migrate-timeout', '1.5h'],
    ...['-1s', '5 m', '5min', '1h30m', 'fivem', '90S', '1e3s', 's'].map((text) => ['migrate-timeout', text]),
    ['health-timeout', '60'],
    ['migrate-lock-timeout', '5sec'],
    ['keep-releases', '1'],
    ['keep-releases', '101'],
    ['keep-releases', 'five'],
    ...['1e1', '5.0', '+5', '0x5', '5,', '-3'].map((text) => ['keep-releases', text]),
    ['scale', 'web'],
    ['scale', 'web=-1'],
    ['scale', 'web=3 worker=2'],
    ['scale', '-f=3'],
    ['url', 'example.com'],
    ['url', 'https://user:pass@example.com/'],
    ['on-failure', 'stay'],
    ['update-services', '-v'],
    ['health-status', '600'],
    ['health-status', 'ok'],
    ['health-headers', 'Host example.org'],
    ['health-url', 'proxy/healthz'],
    ['health-url', 'http://user:pass@proxy/'],
    ['health-url', 'file:///etc/passwd'],
    ['plan-digest', 'abc'],
    ...['True', 'yes', '1', 'on', 'ture', 'true false', 'y'].map((text) => ['force', text]),
    ['dry-run', 'flase'],
    ['migrate', 'Auto'],
    ['migrate', 'befor'],
  ])('%s: %s is refused', (name, text) =>
    expect(problem({ [name]: text })).toMatch(new RegExp(`^Input ${name} cannot be used`)),
  )
})

describe('env files', () => {
  test('.env ends with one line end; line ends have their Unix form', () => {
    expect(deploy({ 'env-file': 'A=1\r\nB=2\r\n\r\n' }).envFile).toBe('A=1\nB=2\n')
    expect(deploy({ 'env-files': 'conf/./tls.pem: "A\\r\\nB\\r\\n"' }).envFiles).toEqual([
      { path: 'conf/tls.pem', content: 'A\nB\n' },
    ])
  })

  test.each([
    ['plain', 'secrets/key: alpha-key-0001\n', 'alpha-key-0001'],
    ['in quotes, with a line end', 'secrets/key: "alpha-key-0001\\n"\n', 'alpha-key-0001\n'],
    ['a block', 'secrets/key: |\n  A=1\n  B=2\n', 'A=1\nB=2\n'],
    ['a block without its line end', 'secrets/key: |-\n  A=1\n  B=2\n', 'A=1\nB=2'],
    ['a block with all of its line ends', 'secrets/key: |+\n  A=1\n\n', 'A=1\n\n'],
  ])('an entry of env-files ends as it is written: %s', (_, text, content) => {
    expect(deploy({ 'env-files': text }).envFiles).toEqual([{ path: 'secrets/key', content }])
  })

  test.each([
    ['not a map', 'PASSWORD=hunter22'],
    ['a list', '- PASSWORD=hunter22'],
    ['a map of maps', '.env:\n  PASSWORD: hunter22'],
    ['a path outside', '../.env: PASSWORD=hunter22'],
    ['broken YAML', '.env: "PASSWORD=hunter22'],
    ['a doubled path', '.env: PASSWORD=hunter22\n.env: PASSWORD=hunter22'],
  ])('%s is refused without repeating the content', (_, text) => {
    const message = problem({ 'env-files': text })
    expect(message).toMatch(/^Input env-files cannot be used/)
    expect(message).not.toContain('hunter22')
  })
})

describe('exec', () => {
  const exec = (given: Given) => readExecInputs(env({ ...connection, ...given }))

  test('takes lines as they are, and variables', () => {
    const run = "echo 'a'\r\n  exit 3"
    expect(exec({ run, env: 'A=1\n\nPASSWORD="it is" # all of it\n' })).toMatchObject({
      run: "echo 'a'\n  exit 3",
      env: ['A=1', 'PASSWORD="it is" # all of it'],
      service: undefined,
    })
  })

  test('needs something to run; a line that is no variable is not shown', () => {
    expect.assertions(3)
    try {
      exec({ env: 'A=1\nsecond line of a secret' })
    } catch (error) {
      expect(explain(error)).toContain('Input run is empty')
      expect(explain(error)).toContain('Input env cannot be used: a line is not NAME=value')
      expect(explain(error)).not.toContain('second')
    }
  })

  test('masks what is secret in its variables', () => {
    expect(
      secretsOf(exec({ run: 'x', env: 'DJANGO_SUPERUSER_USERNAME=administrator\nDJANGO_SUPERUSER_PASSWORD=hunter22' })),
    ).toEqual(expect.arrayContaining(['hunter22']))
    expect(secretsOf({ env: ['DJANGO_SUPERUSER_USERNAME=administrator'] })).toEqual([])
  })
})

describe('secretsOf', () => {
  test('lists each line of the key, the password, the token and what is secret in env files', () => {
    const secrets = secretsOf(
      deploy({
        'registry-username': 'octo',
        'registry-password': 'pa55word\n',
        'github-token': 'ghs_0123456789',
        'env-file': [
          '# a comment',
          'DEBUG=False',
          'POSTGRES_DB=todo',
          'SECRET_KEY="a b c d e"',
          'DATABASE_URL=postgres://todo:s3cr3t@db/todo',
          'SENTRY=0123456789abcdef0123456789abcdef',
          'ALLOWED_HOSTS=todo.example.org',
        ].join('\n'),
        'env-files': 'db.env: POSTGRES_PASSWORD=hunter22',
      }),
    )
    expect(secrets).toEqual(
      expect.arrayContaining([
        ...key.trim().split('\n'),
        'pa55word',
        'ghs_0123456789',
        'a b c d e',
        's3cr3t',
        '0123456789abcdef0123456789abcdef',
        'hunter22',
      ]),
    )
    for (const harmless of ['False', 'todo', 'todo.example.org', 'octo', '# a comment']) {
      expect(secrets).not.toContain(harmless)
    }
  })
})

describe('a pull request', () => {
  const judge = (event: string, given: Given) => readJudgeInputs({ ...env(given), GITHUB_EVENT_NAME: event })

  test('is known by its event', () => {
    const events = ['push', 'pull_request', 'pull_request_target', 'workflow_dispatch', undefined]
    expect(events.map((event) => isPullRequest({ GITHUB_EVENT_NAME: event }))).toEqual([
      ...[false, true, true, false, false],
    ])
  })

  test('is judged without a host', () => {
    expect(judge('pull_request', { 'dry-run': 'true' })).toMatchObject({
      version: 'sha-0123456789ab',
      migrate: 'auto',
      manage: ['python', 'manage.py'],
    })
  })

  test.each([
    ['with a host', 'pull_request', { 'dry-run': 'true', host: 'deploy@example.org' }],
    ['without dry-run', 'pull_request', {}],
    ['that runs with secrets', 'pull_request_target', { 'dry-run': 'true' }],
  ])('%s is refused', (_, event, given) => {
    expect(() => judge(event, given)).toThrow(expect.objectContaining({ code: 'pull-request' }))
  })
})

describe('the run', () => {
  test('is read from the environment', () => {
    const GITHUB_WORKFLOW_REF = 'octo/todo/.github/workflows/deploy.yml@refs/heads/main'
    expect(readRunner({ ...github, RUNNER_DEBUG: '1', GITHUB_WORKFLOW_REF })).toEqual({
      sha: github.GITHUB_SHA,
      refName: 'main',
      refType: 'branch',
      repository: 'octo/todo',
      serverUrl: 'https://github.com',
      apiUrl: 'https://api.github.com',
      runId: 17_000_000_001,
      runAttempt: 2,
      runUrl: 'https://github.com/octo/todo/actions/runs/17000000001/attempts/2',
      workflowPage: 'https://github.com/octo/todo/actions/workflows/deploy.yml',
      actor: 'octo',
      workspace: github.GITHUB_WORKSPACE,
      eventPath: '',
      temp: github.RUNNER_TEMP,
      debug: true,
    })
  })

  test('outside GitHub Actions the missing variable is named', () => {
    expect(() => readRunner({})).toThrow('GITHUB_SERVER_URL is not set')
  })

  test.each([
    ['a version', 'octo/deploy-django', 'v1', 'https://github.com/octo/deploy-django/blob/v1/docs/troubleshooting.md'],
    ['a branch', 'octo/x', 'a/b#c', 'https://github.com/octo/x/blob/a/b%23c/docs/troubleshooting.md'],
    ['the checkout itself', '', '', 'docs/troubleshooting.md'],
  ])('the page that explains failures is that of %s', (_, repository, ref, page) => {
    const action = { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref }
    expect(readPage('docs/troubleshooting.md', { ...github, ...action })).toBe(page)
    expect(readPage('docs/troubleshooting.md', {})).toBe('docs/troubleshooting.md')
  })

  test('the command comes from the entry file', () => {
    expect(readCommand('rollback')).toBe('rollback')
    expect(() => readCommand('index')).toThrow('started by a file that it does not have')
  })

  test('programs get the environment of the step, without inputs and GitHub variables', () => {
    const step = { PATH: '/usr/bin', CI: 'true', TAG: 'x', ACTIONS_RUNTIME_TOKEN: 'needed by cache type=gha' }
    expect(readStepEnvironment({ ...step, ...env(connection), STATE_main: 'started', RUNNER_OS: 'Linux' })).toEqual(
      step,
    )
  })
})

test('the README shows every input of deploy in one group', () => {
  expect(Object.values(groups).flat().toSorted()).toEqual(Object.keys(inputs.deploy).toSorted())
})
