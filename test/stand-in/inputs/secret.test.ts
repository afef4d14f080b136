import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run, type RunOptions } from '../../../src/process.ts'
import { readRedaction } from '../../../src/host/assets.ts'
import { secretsIn } from '../../../src/inputs/secret.ts'
import { SHELLS } from '../transaction/world.ts'

/** An env file, what is said, and what is to be seen of it. */
type Case = { title: string; env: string; said: string; shown: string }

const cases: readonly Case[] = [
  {
    title: 'a value by its name, however it is assigned',
    env: 'SECRET_KEY=one-two-3\nexport DB_PASS = four-5\nApi_Token: six-seven\r\nMYSQL_PWD=eight9',
    said: 'one-two-3 four-5 (six-seven)eight9',
    shown: '*** *** (***)***',
  },
  {
    title: 'a text that looks random, whatever its name',
    env: 'SENTRY=0123456789abcdef\nHOOK=abcdefghijklmnop\nSHORT=0123456789abcde\nPAGE=example.com/0123456789abcdef',
    said: '0123456789abcdef abcdefghijklmnop 0123456789abcde',
    shown: '*** abcdefghijklmnop 0123456789abcde',
  },
  {
    title: 'the password in an address, and only that',
    env: 'DATABASE_URL=postgres://todo:s3cr3t%40@db:5432/todo\nREDIS=redis://:other-1@redis\nSITE=https://example.com:8000/a',
    said: 'postgres://todo:s3cr3t%40@db:5432/todo other-1 https://example.com:8000/a',
    shown: 'postgres://todo:***@db:5432/todo *** https://example.com:8000/a',
  },
  {
    title: 'no settings, no short words, no comments',
    env: '# SECRET=of-a-comment\nDEBUG=true\nUSE_AUTH=true\nDB_PASS=db\nPOSTGRES_PASSWORD=postgres\nPOSTGRES_USER=postgres\nKEY=1\nTOKEN=\nKEY_FILE=longlowercaseword',
    said: 'true db postgres 1 of-a-comment longlowercaseword',
    shown: 'true db postgres 1 of-a-comment ***',
  },
  {
    title: 'signs that mean something to sed, to a shell or to a pattern',
    env: `KEY_1=a.b*cd\nKEY_2=[x]\\1&/^$\nKEY_3='$HOME "\`id\`" %s'\nKEY_4=ab|cd+?{1}`,
    said: 'a.b*cd axb*cd [x]\\1&/^$ $HOME "`id`" %s ab|cd+?{1}',
    shown: '*** axb*cd *** *** ***',
  },
  {
    title: 'quotes, escapes and comments, as Compose reads them',
    env: `KEY_1="with # hash" # comment\nKEY_2=plain-1 # comment\nKEY_3="a\\"b\\\\c-1"\nKEY_4='it is1' \nKEY_5=has#hash`,
    said: 'with # hash plain-1 # plain-1 # comment a"b\\c-1 it is1 has#hash',
    shown: '*** *** # *** *** *** ***',
  },
  {
    title: 'a value of several lines, each by itself',
    env: `TLS_KEY="-----BEGIN X-----\nMIIabcd/+==\n-----END X-----"\nNEXT_KEY=after-it\nPEM_KEY='x\nsecond-1'\nESCAPED_KEY="third-1\\nfourth-1"`,
    said: 'MIIabcd/+== third-1\nfourth-1 after-it second-1 x',
    shown: '*** ***\n*** *** *** x',
  },
  {
    title: 'a value with escaped line ends, however it is quoted',
    env: `A_KEY='first-1\\nsecond-1'\nB_KEY=third-1\\nfourth-1\nC_KEY="fifth-1\\\\nsixth-1\\\\r\\\\nseventh-1"`,
    said: 'first-1\nsecond-1\nthird-1\nfourth-1\nfifth-1\nsixth-1\nseventh-1',
    shown: '***\n***\n***\n***\n***\n***\n***',
  },
  {
    title: 'the members of JSON in a value, each line by itself',
    env: [
      `A='{"type": "service_account", "private_key": "-----BEGIN X-----\\nMIIfirst/+==\\n-----END X-----\\n"}'`,
      `B="{\\"auth\\": \\"plain-1\\", \\"private_key\\" : \\"MIIsecond/+==\\\\nMIIthird/+==\\"}"`,
      `C='{\n  "password": "four-\\"4",\n  "name": "nobody hides this"\n}'`,
    ].join('\n'),
    said: 'MIIfirst/+==\nMIIsecond/+== plain-1\nMIIthird/+== four-"4 service_account nobody hides this',
    shown: '***\n*** ***\n*** *** service_account nobody hides this',
  },
  {
    title: 'the members of a JSON file',
    env: '{\n  "project": "shop-of-9",\n  "private_key": "-----BEGIN X-----\\nMIIfirst/+==\\nAB-1==\\n-----END X-----\\n",\n  "token":\n    "my-token"\n}\n',
    said: 'MIIfirst/+==\nAB-1==\nmy-token shop-of-9',
    shown: '***\n***\n*** shop-of-9',
  },
  {
    title: 'an encrypted PEM key, which has headers like settings',
    env: '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0123\n\nMIIfirst/+==\nMIIsecond/+==\n-----END RSA PRIVATE KEY-----\n',
    said: 'MIIfirst/+==\nMIIsecond/+== Proc-Type: 4,ENCRYPTED',
    shown: '***\n*** Proc-Type: 4,ENCRYPTED',
  },
  {
    title: 'a PEM key among settings, and nothing after it',
    env: 'name: shop\nprivate: |\n  -----BEGIN X-----\n  MIIfirst/+==\n  -----END X-----\ncontinued-line-1\n',
    said: 'MIIfirst/+== continued-line-1',
    shown: '*** continued-line-1',
  },
  {
    title: 'a quote that nobody closes hides no other line',
    env: `OPEN_KEY="never-closed\nOTHER_KEY=other-1`,
    said: 'never-closed other-1',
    shown: '*** ***',
  },
  {
    title: 'a value that is a part of another',
    env: 'KEY_A=prefix-1\nKEY_B=prefix-1-and-more\nKEY_C=and-more',
    said: 'prefix-1-and-more prefix-1 and-more',
    shown: '*** *** ***',
  },
  {
    title: 'the content of a file that is no env file, with spaces or without',
    env: '\n  correct horse 1 \r\n',
    said: 'correct horse 1, horse 1',
    shown: '***, horse 1',
  },
  {
    title: 'a content that only looks like a variable',
    env: 'pw=ab:cd-1',
    said: 'pw=ab:cd-1 pw',
    shown: '*** pw',
  },
  {
    title: 'an address by itself, and its password',
    env: 'postgres://todo:s3cr3t%40@db:5432/todo\n',
    said: 's3cr3t%40 postgres://todo:s3cr3t%40@db:5432/todo postgres://other',
    shown: '*** *** postgres://other',
  },
  {
    title: 'base64 with padding',
    env: 'c2VjcmV0LWtleQ==\n',
    said: 'it is c2VjcmV0LWtleQ==',
    shown: 'it is ***',
  },
  {
    title: 'the long lines of a file without settings, such as a PEM key',
    env: '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg/+kq\nABCDEFGHIJK=\nshort-1\n#--------\nwith a space\n-----END PRIVATE KEY-----\n',
    said: '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg/+kq\nABCDEFGHIJK= short-1 #-------- with a space',
    shown: '-----BEGIN PRIVATE KEY-----\n***\n*** short-1 #-------- with a space',
  },
  {
    title: 'no whole line of a file that has settings',
    env: '[section-1]\nDEBUG=true\ncontinued-line-1\nname-of-it: "x y"',
    said: '[section-1] DEBUG=true continued-line-1 name-of-it',
    shown: '[section-1] DEBUG=true continued-line-1 name-of-it',
  },
  {
    title: 'no short words in a file that is no env file',
    env: 'postgres\n',
    said: 'postgres',
    shown: 'postgres',
  },
  { title: 'letters of all alphabets', env: 'KEY=pässwörd-√1', said: 'x pässwörd-√1y', shown: 'x ***y' },
]

function masked(env: string, said: string): string {
  const longestFirst = secretsIn(env).sort((a, b) => b.length - a.length)
  return longestFirst.reduce((text, secret) => text.replaceAll(secret, '***'), said)
}

test.each(cases)('on the runner: $title', ({ env, said, shown }) => {
  expect(masked(env, said)).toBe(shown)
})

const part = (name: string): string =>
  fileURLToPath(new URL(`../../../src/host/transaction/${name}.sh`, import.meta.url))

describe.each(SHELLS)('on the server, under %s', (shell) => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redaction-'))
    if (shell === 'busybox') {
      await writeFile(join(folder, 'awk'), '#!/bin/sh\nexec /bin/busybox awk "$@"\n')
      await chmod(join(folder, 'awk'), 0o755)
    }
  })
  afterAll(() => rm(folder, { recursive: true }))

  /** What is to be seen of what a verb of the script says on both of its outputs. */
  const redacted = async (
    directory: string,
    does: string,
    options: RunOptions = {},
    verb = 'follow',
  ): Promise<string> => {
    const script = join(directory, 'script.sh')
    const redaction = await readRedaction()
    await writeFile(
      script,
      `set -euf\nexport LC_ALL=C\n${redaction}. "$1"\n. "$2"\n${verb}() { ${does}; }\nredacted ${verb} "$3"`,
    )
    const [program, ...words] = shell === 'busybox' ? ['/bin/busybox', 'ash', script] : ['/bin/dash', script]
    const env = { PATH: `${folder}:/usr/bin:/bin` }
    const done = await run(program ?? '', [...words, part('word'), part('redaction'), directory], {
      env,
      timeoutMs: 20_000,
      ...options,
    })
    expect(done.code).toBe(7)
    expect(done.stderr).toBe(done.stdout)
    return done.stdout
  }
  const REPEAT = 'tee /dev/stderr; exit 7'
  const directoryWith = async (env: string): Promise<string> => {
    const directory = await mkdtemp(join(folder, 'directory-'))
    await writeFile(join(directory, '.env'), env)
    return directory
  }

  test.each(cases)('$title', async ({ env, said, shown }) => {
    expect(await redacted(await directoryWith(env), REPEAT, { stdin: `${said}\n` })).toBe(`${shown}\n`)
  })

  test('all env files: the own ones, those of releases, and those that only a release names', async () => {
    const directory = await directoryWith('A_KEY=first-1')
    const put = async (path: string, text: string): Promise<void> => {
      await mkdir(join(directory, path, '..'), { recursive: true })
      await writeFile(join(directory, path), text)
    }
    await put('config/.env.prod', 'B_KEY=second-1')
    await put('.deploy/releases/v1-1-1/env/db settings', 'C_KEY=third-1')
    await put('.deploy/files/abc/web.env', 'D_KEY=fourth-1')
    await put('odd name/deep/settings', 'E_KEY=fifth-1')
    await put(
      '.deploy/releases/v1-1-1/facts/env-files',
      `odd name/deep/settings\nsecrets/mail_password\n${directory}/absolute\n~/mine\nmissing\n`,
    )
    await put('.deploy/releases/v1-1-1/facts/optional-env-files', 'perhaps/settings\n')
    await put('perhaps/settings', 'H_KEY=eighth-1')
    await put('absolute', 'F_KEY=sixth-1')
    await put('.deploy/releases/v1-1-1/env/secrets/db_password', 'pw-9981-zzzz-1234')
    await put('secrets/mail_password', 'Tr0ub4dor&3\n')
    await put('home/mine', 'G_KEY=seventh-1')
    const env = { PATH: `${folder}:/usr/bin:/bin`, HOME: join(directory, 'home') }
    const said = 'first-1 second-1 third-1 fourth-1 fifth-1 sixth-1 seventh-1 eighth-1 ninth-1\n'
    expect(await redacted(directory, REPEAT, { stdin: said, env })).toBe('*** *** *** *** *** *** *** *** ninth-1\n')
    const whole = 'pw-9981-zzzz-1234 Tr0ub4dor&3 Tr0ub4dor\n'
    expect(await redacted(directory, REPEAT, { stdin: whole, env })).toBe('*** *** Tr0ub4dor\n')
  })

  test('of a document only what is for people, and nothing of the journal', async () => {
    const directory = await directoryWith('KEY=shop-1\nOTHER_KEY=a"b\\c-1')
    const lines = [
      '2026-11-21T12:00:00Z shop-1 said',
      'j 2026-11-21T12:00:00Z begin shop-1-1-1',
      'r {"deploy-django": 1, "shop-1": "shop-1", "hosts": ["shop-1.example.com"], "text": "it \\"was\\" shop-1: a\\"b\\\\c-1"}',
    ]
    const options = { stdin: `${lines.join('\n')}\n` }
    expect((await redacted(directory, REPEAT, options)).split('\n')).toEqual([
      '2026-11-21T12:00:00Z *** said',
      lines[1],
      'r {"deploy-django": 1, "shop-1": "shop-1", "hosts": ["shop-1.example.com"], "text": "it \\"was\\" ***: ***"}',
      '',
    ])
    // What somebody runs may print lines that only look so.
    expect(await redacted(directory, REPEAT, options, 'run')).not.toContain('shop-1')
  })

  test('a file that the verb removes before awk has started', async () => {
    const directory = await directoryWith('KEY=shop-1')
    const slow = await mkdtemp(join(folder, 'slow-'))
    const wait = `case "$*" in *version*) ;; *) until [ -e "${directory}/gone" ]; do sleep 0.02; done ;; esac`
    await writeFile(join(slow, 'awk'), `#!/bin/sh\n${wait}\nPATH=${folder}:/usr/bin:/bin exec awk "$@"\n`, {
      mode: 0o755,
    })
    const env = { PATH: `${slow}:${folder}:/usr/bin:/bin` }
    const does = 'rm "$1/.env"; : >"$1/gone"; echo shop-1; echo shop-1 >&2; exit 7'
    expect(await redacted(directory, does, { env })).toBe('***\n')
  })

  test('a line is there at once', async () => {
    const directory = await directoryWith('KEY=shop-1')
    const { promise: seen, resolve: see } = Promise.withResolvers<void>()
    const wait = `for line in one two; do echo $line shop-1; echo $line shop-1 >&2; until [ -e "$1/go" ]; do sleep 0.02; done; done; exit 7`
    const running = redacted(directory, wait, { onLine: (line) => line === 'one ***' && see() })
    await Promise.race([seen, running])
    await writeFile(join(directory, 'go'), '')
    expect(await running).toBe('one ***\ntwo ***\n')
  })
})
