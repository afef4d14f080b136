import { parseScale } from './compose/scale.ts'
import { parseImages } from './images.ts'
import { input, type Input, type VersionFacts } from './input.ts'
import { parseHost, parseKnownHosts, parsePrivateKey } from './login.ts'
import * as value from './values.ts'

function defaultVersion(facts: VersionFacts): string {
  return facts.refType === 'tag' ? facts.refName : `sha-${facts.sha.slice(0, 12)}`
}

const connection = {
  host: input({
    description: 'the host, as `user@host` or `user@host:port`',
    required: true,
    parse: parseHost,
  }),
  'ssh-key': input({
    description: 'private SSH key of that user, without a passphrase',
    required: true,
    secret: true,
    parse: parsePrivateKey,
  }),
  'known-hosts': input({
    description: 'SSH keys that identify the host: the lines of `ssh-keyscan <host>`, or `SHA256:` fingerprints',
    required: true,
    parse: parseKnownHosts,
  }),
  'jump-host': input({
    description:
      'a bastion in front of the host, written like `host`, with the same key; add its host keys to `known-hosts`',
    parse: value.optional(parseHost),
  }),
}

const health = {
  'health-url': input({
    description:
      'what must answer, requested from inside the network of the app: `auto`, `none`, or addresses such as `http://proxy/healthz`, one per line',
    default: 'auto',
    parse: value.parseHealthUrl,
  }),
  'health-headers': input({
    description: 'headers of that request as `Name: value`, one per line',
    otherwise: 'Host from `ALLOWED_HOSTS`, the scheme from `SECURE_PROXY_SSL_HEADER`',
    parse: value.parseHeaders,
  }),
  'health-status': input({
    description: 'statuses that count as healthy',
    default: '2xx 3xx',
    parse: value.wordsOf(value.parseStatus),
  }),
  'health-timeout': input({
    description: 'how long the app may take to become healthy, such as `90s`',
    otherwise: 'start period of the health checks, plus 30 s or four times what the release before needed',
    parse: value.optional(value.parseDuration),
  }),
}

const dryRun = input({
  description: 'show the plan and change nothing',
  default: 'false',
  parse: value.parseBoolean,
})

const environment = input({
  description:
    "environment of GitHub's deployment record; needs `permissions: { deployments: write }`. Leave it out if the job has `environment:`, then GitHub keeps the record",
  otherwise: 'no record',
  parse: value.optional(value.parseEnvironment),
})

const githubToken = {
  default: '${{ github.token }}',
  secret: true,
  parse: value.optional(value.parseSecret),
} as const

const directory = input({
  description: 'folder of the project on the host',
  otherwise: 'the only one in `deploy/`',
  parse: value.optional(value.parseDirectory),
})

/** The commands that change what serves. */
const releasing = {
  deploy: {
    ...connection,
    version: input({
      description: 'name of the release and tag of its image',
      otherwise: 'the name of the tag, else `sha-` and 12 digits of the commit',
      parse: (text, facts) => value.parseNewVersion(text === '' ? defaultVersion(facts) : text),
    }),
    'compose-files': input({
      description: 'Compose files in order, such as `compose.yaml compose.production.yaml`',
      otherwise: '`COMPOSE_FILE` of the env file, else the production-looking one of the repository',
      parse: value.linesOf(value.parseInnerPaths),
    }),
    project: input({
      description: 'name of the Compose project; never change it',
      otherwise: 'what the host has, `COMPOSE_PROJECT_NAME`, `name:` in the Compose file, the name of the repository',
      parse: value.optional(value.parseProject),
    }),
    directory: input({
      description: 'folder on the host, absolute or below the home folder; the same for every release',
      otherwise: '`deploy/<project>`',
      parse: value.optional(value.parseDirectory),
    }),
    profiles: input({
      description: 'Compose profiles that are active; what belongs to no active one is not built',
      otherwise: '`COMPOSE_PROFILES` of the env file',
      parse: value.wordsOf(value.parseProfile),
    }),
    services: input({
      description: 'services that a release replaces',
      otherwise: 'those built here and those whose image has manage.py',
      parse: value.wordsOf(value.parseService),
    }),
    'update-services': input({
      description: 'stateful services, such as a database, that may be recreated when their definition changes',
      parse: value.wordsOf(value.parseService),
    }),
    scale: input({
      description: 'how many containers of a service, one per line, such as `web=3`',
      otherwise: 'a count that changed in the Compose file, else as many as there are now',
      parse: value.linesOf(parseScale),
    }),
    image: input({
      description: 'repository to push to, without a tag',
      otherwise: "the service's `image:`, else `ghcr.io/<owner>/<repository>`",
      parse: value.optional(value.parseImage),
    }),
    images: input({
      description: 'output `images` of a `build` job: these images are deployed, nothing is built',
      parse: value.optional(parseImages),
    }),
    set: input({
      description: 'overrides for `docker buildx bake`, one per line, such as `*.cache-from=type=gha`',
      parse: value.linesOf(value.parseOverride),
    }),
    'registry-username': input({
      description: 'login for the registry',
      otherwise: "the actor for ghcr.io, else the runner's own Docker login",
      parse: value.optional(value.parseSecret),
    }),
    'registry-password': input({
      description: 'password, token or JSON key for the registry, used for the push and for one pull on the host',
      otherwise: "`github-token` for ghcr.io, else the runner's own Docker login",
      secret: true,
      parse: value.optional(value.parsePassword),
    }),
    'github-token': input({
      ...githubToken,
      description:
        'token for ghcr.io when no registry login is given, which needs `packages: write`, and for `environment`',
    }),
    'env-file': input({
      description: 'content of `.env` for this release',
      otherwise: 'the file on the host stays as it is',
      secret: true,
      parse: value.optional(value.parseContent),
    }),
    'env-files': input({
      description: 'further env files as a YAML map of path to content',
      otherwise: 'the files on the host stay as they are',
      secret: true,
      parse: value.parseEnvFiles,
    }),
    files: input({
      description: 'further files of the repository to ship, one per line',
      otherwise: 'what the Compose file names from the repository',
      parse: value.linesOf(value.parseInnerPath),
    }),
    manage: input({
      description: 'how Django commands are started in the image',
      default: 'python manage.py',
      parse: value.parseManage,
    }),
    migrate: input({
      description:
        '`auto`: choose the order by the pending migrations; `before`: before the app is replaced; `external`: the image migrates itself, only verify; `none`',
      default: 'auto',
      parse: value.oneOf('auto', 'before', 'external', 'none'),
    }),
    'migrate-timeout': input({
      description: 'time limit for all migrations together',
      default: '1h',
      parse: value.parseDuration,
    }),
    'migrate-lock-timeout': input({
      description: 'how long one statement waits for a database lock before it is retried',
      default: '5s',
      parse: value.parseDuration,
    }),
    collectstatic: input({
      description:
        '`auto`: collect the static files where a volume hides those of the image, also when going back; `always`; `never`',
      default: 'auto',
      parse: value.oneOf('auto', 'always', 'never'),
    }),
    ...health,
    url: input({
      description: 'public address of the site; a warning if it does not answer after the deploy',
      parse: value.optional(value.parseUrl),
    }),
    'on-failure': input({
      description: '`rollback`: revert automatically; `keep`: leave the failed containers running for inspection',
      default: 'rollback',
      parse: value.oneOf('rollback', 'keep'),
    }),
    'keep-releases': input({
      description: 'how many releases stay on the host',
      default: '5',
      parse: value.wholeNumber(2, 100),
    }),
    environment,
    'dry-run': dryRun,
    'plan-digest': input({
      description: 'deploy only if the plan still has this digest',
      parse: value.optional(value.parseDigest),
    }),
    force: input({
      description: 'deploy even if this release already runs or a newer run has deployed',
      default: 'false',
      parse: value.parseBoolean,
    }),
  },
  rollback: {
    ...connection,
    directory,
    version: input({
      description: 'the release to go back to',
      otherwise: 'what served before the current release was first deployed',
      parse: value.optional(value.parseVersion),
    }),
    'dry-run': dryRun,
    environment,
    'github-token': input({ ...githubToken, description: 'token for `environment`' }),
    ...health,
  },
}

const { deploy } = releasing

/** The inputs by which the post step reaches the host, whichever command it follows. */
export const route = connection

/** The inputs of each command, in the order of the documentation. An input is listed only when it works. */
export const inputs = {
  ...releasing,
  build: {
    version: deploy.version,
    'compose-files': deploy['compose-files'],
    services: deploy.services,
    image: deploy.image,
    set: deploy.set,
    'registry-username': deploy['registry-username'],
    'registry-password': deploy['registry-password'],
    'github-token': deploy['github-token'],
    manage: deploy.manage,
    'env-file': input({
      description:
        'content of `.env` for this release, of which the build sections of the Compose file may use variables; give it here as well as to `deploy`',
      secret: true,
      parse: value.optional(value.parseContent),
    }),
  },
  exec: {
    ...connection,
    directory,
    service: input({
      description: 'service in whose container it runs',
      otherwise: 'the one that runs Django',
      parse: value.optional(value.parseService),
    }),
    run: input({
      description: 'what to run, one line or several, in the `sh` of the container: `python manage.py clearsessions`',
      required: true,
      parse: value.parseScript,
    }),
    env: input({
      description: 'variables for this run alone, one `NAME=value` per line; quotes are part of the value',
      secret: true,
      parse: value.linesOf(value.parseVariable),
    }),
  },
  status: { ...connection, directory },
}

/** The inputs of `deploy` as the README shows them; each is in one group, which a test holds. */
export const groups: Readonly<Record<string, readonly (keyof (typeof inputs)['deploy'])[]>> = {
  Connection: ['host', 'ssh-key', 'known-hosts', 'jump-host', 'directory'],
  'What to deploy': [
    'version',
    'compose-files',
    'project',
    'profiles',
    'services',
    'update-services',
    'scale',
    'env-file',
    'env-files',
    'files',
  ],
  'Build and registry': ['image', 'images', 'set', 'registry-username', 'registry-password', 'github-token'],
  'Migrations and static files': ['manage', 'migrate', 'migrate-timeout', 'migrate-lock-timeout', 'collectstatic'],
  Health: ['health-url', 'health-headers', 'health-status', 'health-timeout', 'url'],
  'Plan and failure': ['dry-run', 'plan-digest', 'force', 'on-failure', 'keep-releases', 'environment'],
}

/** What the action can be asked to do; each has its own action.yml. */
export const commands = ['deploy', 'rollback', 'build', 'exec', 'status'] as const

/** One of the commands. */
export type Command = (typeof commands)[number]

type Camel<Name> = Name extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : Name

/** The values of a table of inputs, in camel case. */
export type Values<Table> = {
  readonly [Name in keyof Table as Camel<Name>]: Table[Name] extends Input<infer T> ? T : never
}

/** The checked inputs of `deploy`. */
export type DeployInputs = Values<(typeof inputs)['deploy']>

/** The checked inputs of `rollback`. */
export type RollbackInputs = Values<(typeof inputs)['rollback']>

/** The checked inputs of `build`. */
export type BuildInputs = Values<(typeof inputs)['build']>

/** The checked inputs of `exec`. */
export type ExecInputs = Values<(typeof inputs)['exec']>

/** The checked inputs of `status`. */
export type StatusInputs = Values<(typeof inputs)['status']>
