import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findDocument, type Document } from '../django/document.ts'
import { explainProbe } from '../host/failure.ts'
import type { Run } from '../process.ts'
import type { DjangoImage } from './inspect.ts'

/** The parameters of `askImage`. */
export type AskFacts = {
  image: DjangoImage
  manage: readonly string[]
  /** The probe as one word of Python. */
  probe: string
  verb: string
  /** Variables for the probe itself. */
  question: Readonly<Record<string, string>>
  /** Variables that the settings may need. */
  variables: ReadonlyMap<string, string>
}

const LIMIT_MS = 120_000
const MOST_TRIES = 12

/**
 * Runs the probe in an image, without network and without its entrypoint. A variable that the settings need and that
 * is not set gets a stand-in value.
 */
export async function askImage(
  { image, manage: [program = 'python', ...rest], probe, verb, question, variables }: AskFacts,
  { run, env, temp }: { run: Run; env: NodeJS.ProcessEnv; temp: string },
): Promise<Document> {
  const file = join(temp, 'ask.env')
  const given = new Map([['DATABASE_URL', DATABASES[0]], ...variables])
  for (let tries = 0; ; tries++) {
    await writeFile(file, linesOf(new Map([...given, ...Object.entries(question), ['DEPLOY_DJANGO', verb]])))
    await chmod(file, 0o600)
    const options = ['--rm', '--network', 'none', '--env-file', file, '--entrypoint', program]
    const words = [image.target.reference, ...rest, 'shell', '-v', '0', '-c', probe]
    const asked = await run('docker', ['run', ...options, ...words], { env, timeoutMs: LIMIT_MS })
    const document = findDocument(asked.stdout)
    if (document && asked.code === 0) return document
    const said = `${asked.stderr}\n${asked.stdout}`
    const missing = tries < MOST_TRIES ? missingVariable(said) : undefined
    if (missing !== undefined && !given.has(missing)) given.set(missing, standInFor(missing))
    else if (lacksDriver(said) && given.get('DATABASE_URL') === DATABASES[0]) given.set('DATABASE_URL', DATABASES[1])
    else throw explainProbe(asked.code, document, asked.stderr)
  }
}

/** No connection to these databases is made. With the first, Django plans the migrations as for PostgreSQL. */
const DATABASES = ['postgres://user:password@localhost:5432/database', 'sqlite://:memory:'] as const

const lacksDriver = (said: string): boolean => /Error loading psycopg|No module named '?psycopg/.test(said)

/** Docker reads a value literally to the end of its line, so only the first line is kept. */
function linesOf(variables: ReadonlyMap<string, string>): string {
  return [...variables].map(([name, value]) => `${name}=${value.split('\n')[0]}\n`).join('')
}

/** The missing variable as os.environ, django-environ, decouple, environs or ImproperlyConfigured name it. */
export function missingVariable(said: string): string | undefined {
  return MISSING.flatMap((pattern) => [...said.matchAll(pattern)].map(([, name]) => name)).at(-1)
}

const MISSING = [
  /KeyError: '([A-Za-z_]\w*)'/g,
  /Set the ([A-Za-z_]\w*) environment variable/g,
  /UndefinedValueError: ([A-Za-z_]\w*) not found/g,
  /[Ee]nvironment variable [\\"'`]*([A-Z][A-Z0-9_]*)/g,
  /[ "'`]([A-Z][A-Z0-9_]*)[\\"'`]* environment variable/g,
]

/** A stand-in that fits the name. The default `1` works as a number, a boolean and a text. */
export function standInFor(name: string): string {
  return STAND_INS.find(([pattern]) => pattern.test(name))?.[1] ?? '1'
}

const STAND_INS: readonly (readonly [RegExp, string])[] = [
  [/DATABASE.*URL$|^DB_URL$/, DATABASES[0]],
  [/MAIL.*URL$/, 'smtp://localhost'],
  [/DSN$/, 'http://key@localhost/1'],
  [/UR[LI]$|BROKER/, 'redis://localhost:6379/0'],
  [/HOSTS?$/, 'localhost'],
]
