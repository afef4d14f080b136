import { parseScale } from '../compose/scale.ts'
import { parseImages } from './images.ts'
import { input, type Input, type VersionFacts } from './input.ts'
import { parseHost, parseKnownHosts, parsePrivateKey } from './login.ts'
import * as value from './values.ts'

export function defaultVersion(facts: VersionFacts): string {
  return facts.refType === 'tag' ? facts.refName : `sha-${facts.sha.slice(0, 12)}`
}

const connection = {
  host: input({
    description: 'host to connect to, as `user@host` or `user@host:port`',
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

/** The connection of a deploy; a pull request needs no host. */
const deployed = {
  ...connection,
  host: { ...connection.host, exempt: 'on a pull request' },
  'ssh-key': { ...connection['ssh-key'], exempt: 'on a pull request' },
  'known-hosts': { ...connection['known-hosts'], exempt: 'on a pull request' },
}

const health = {
  'health-url': input({
    description:
      'address of the health check, requested from inside the network of the app: `auto`, `none`, or addresses such as `http://proxy/healthz`, one per line',
    default: 'auto',
    parse: value.parseHealthUrl,
  }),
  'health-headers': input({
    description: 'headers of the health check as `Name: value`, one per line',
    otherwise: 'Host from `ALLOWED_HOSTS`, the scheme from `SECURE_PROXY_SSL_HEADER`',
    parse: value.parseHeaders,
  }),
  'health-status': input({
    description: 'statuses that count as healthy, such as `200 401`',
    default: '2xx 3xx',
    parse: value.wordsOf(value.parseStatus),
  }),
  'health-timeout': input({
    description: 'how long the app may take to become healthy, such as `90s`',
    otherwise: 'start period of the health checks, plus 30 s or four times what the previous release needed',
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
    "environment of GitHub's deployment record, such as `production`; needs `permissions: { deployments: write }`. Leave it out if the job has `environment:`, then GitHub keeps the record",
  otherwise: 'no record',
  parse: value.optional(value.parseEnvironment),
})

const githubToken = {
  default: '${{ github.token }}',
  secret: true,
  parse: value.optional(value.parseSecret),
} as const

const directory = input({
  description: 'folder of the project on the host, such as `deploy/shop`',
  otherwise: 'the only one in `deploy/`',
  parse: value.optional(value.parseDirectory),
})

/** The commands that change the current release. */
const releasing = {
  deploy: {
    ...deployed,
    version: input({
      description: 'name of the release and tag of its image, such as `v1.2.0`',
      otherwise: 'the name of the tag, else `sha-` and 12 digits of the commit',
      parse: (text, facts) => value.parseNewVersion(text === '' ? defaultVersion(facts) : text),
    }),
    'compose-files': input({
      description: 'Compose files in order, such as `compose.yaml compose.production.yaml`',
      otherwise: '`COMPOSE_FILE` of the env file, else the file of the repository whose name suits production best',
      parse: value.linesOf(value.parseInnerPaths),
    }),
    project: input({
      description: 'name of the Compose project, such as `shop`; never change it',
      otherwise:
        'the name on the host, else `COMPOSE_PROJECT_NAME`, `name:` in the Compose file, the name of the repository',
      parse: value.optional(value.parseProject),
    }),
    directory: input({
      description:
        'folder on the host, absolute or relative to the home folder, such as `/srv/shop`; keep it for every release',
      otherwise: '`deploy/<project>`',
      parse: value.optional(value.parseDirectory),
    }),
    profiles: input({
      description:
        'active Compose profiles, such as `worker`; services that belong only to other profiles are not built',
      otherwise: '`COMPOSE_PROFILES` of the env file',
      parse: value.wordsOf(value.parseProfile),
    }),
    services: input({
      description: 'services that a release replaces, such as `web worker`',
      otherwise: 'those built here and those whose image has manage.py',
      parse: value.wordsOf(value.parseService),
    }),
    'update-services': input({
      description: 'stateful services that may be recreated when their definition changes, such as `db`',
      parse: value.wordsOf(value.parseService),
    }),
    scale: input({
      description: 'how many containers of a service, one per line, such as `web=3`',
      otherwise: 'a count that changed in the Compose file, else as many as there are now',
      parse: value.linesOf(parseScale),
    }),
    image: input({
      description: 'repository to push to, without a tag, such as `ghcr.io/acme/shop`',
      otherwise: "the service's `image:`, else `ghcr.io/<owner>/<repository>`",
      parse: value.optional(value.parseImage),
    }),
    images: input({
      description: 'output `images` of a `build` job: the job deploys these images and builds nothing',
      parse: value.optional(parseImages),
    }),
    set: input({
      description: 'overrides for `docker buildx bake`, one per line, such as `*.cache-from=type=gha`',
      parse: value.linesOf(value.parseOverride),
    }),
    'registry-username': input({
      description: 'user name for the registry',
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
        'token for ghcr.io without a registry login (needs `packages: write`), and for `environment` and `comment`',
    }),
    'env-file': input({
      description: 'content of `.env` for this release',
      otherwise: 'the file on the host stays as it is',
      secret: true,
      parse: value.optional(value.parseDotEnv),
    }),
    'env-files': input({
      description:
        'further env files, and files of secrets or configs, as a YAML map from path to content; each content is kept exactly, with its end: `|` ends it with a line end, `|-` does not',
      otherwise: 'the files on the host stay as they are',
      secret: true,
      parse: value.parseEnvFiles,
    }),
    files: input({
      description: 'further files of the repository to ship, one per line, such as `nginx/default.conf`',
      otherwise: 'the repository files that the Compose file refers to',
      parse: value.linesOf(value.parseInnerPath),
    }),
    manage: input({
      description: 'how Django commands are started in the image, such as `uv run manage.py`',
      default: 'python manage.py',
      parse: value.parseManage,
    }),
    migrate: input({
      description:
        '`auto`: before the app is replaced, or while it is stopped if its code cannot work with a pending migration; `before`; `stopped`; `external`: the image migrates itself, and the deploy only verifies; `none`',
      default: 'auto',
      parse: value.oneOf('auto', 'before', 'stopped', 'external', 'none'),
    }),
    drift: input({
      description: 'models that changed without a migration: `warn`, or `error`: nothing is deployed',
      default: 'warn',
      parse: value.oneOf('warn', 'error'),
    }),
    'accept-migrations': input({
      description:
        'migrations that may run although they break the old release and cannot be undone without loss, as `app.0007_name`, one per line; `all` accepts every one',
      otherwise: 'those with the line `# deploy-django: accept` in their file',
      parse: value.wordsOf(value.parseAcceptedMigration),
    }),
    databases: input({
      description:
        'databases of the Django settings that are planned and migrated, in order, such as `default archive`; `default` must be among them, replicas must not',
      default: 'default',
      parse: value.parseDatabases,
    }),
    'migrate-timeout': input({
      description: 'time limit for all migrations together, such as `30m`',
      default: '1h',
      parse: value.parseDuration,
    }),
    'migrate-lock-timeout': input({
      description: 'how long one statement waits for a database lock before it is retried',
      default: '5s',
      parse: value.parseDuration,
    }),
    backup: input({
      description:
        'backup of the database before its migrations: `auto`: when they lose data or cannot be reversed; `always`; `never`',
      default: 'auto',
      parse: value.oneOf('auto', 'always', 'never'),
    }),
    collectstatic: input({
      description:
        '`auto`: collect the static files where a volume hides those of the image, also when going back; `always`; `never`',
      default: 'auto',
      parse: value.oneOf('auto', 'always', 'never'),
    }),
    try: input({
      description:
        '`auto`: start one container of the new release without visitors and check it before anything is replaced; `never`, for example when a second container would run a scheduler twice',
      default: 'auto',
      parse: value.oneOf('auto', 'never'),
    }),
    ...health,
    url: input({
      description:
        'public address of the site, such as `https://example.com`; a warning follows if it does not answer after the deploy',
      parse: value.optional(value.parseUrl),
    }),
    'on-failure': input({
      description: '`rollback`: revert automatically; `keep`: leave the failed containers running for inspection',
      default: 'rollback',
      parse: value.oneOf('rollback', 'keep'),
    }),
    'keep-releases': input({
      description: 'how many releases stay on the host, between 2 and 100',
      default: '5',
      parse: value.wholeNumber(2, 100),
    }),
    environment,
    comment: input({
      description:
        'on a pull request: show the plan in a comment (needs `permissions: { pull-requests: write }`); on a tag with a GitHub release: show what was deployed in its notes (needs `contents: write`)',
      default: 'false',
      parse: value.parseBoolean,
    }),
    'dry-run': {
      ...dryRun,
      description: 'show the plan and change nothing; on a pull request: judge its migrations, without a host',
    },
    'plan-digest': input({
      description: 'deploy only if the plan still has this digest, which is the output `plan-digest` of a dry run',
      parse: value.optional(value.parseDigest),
    }),
    force: input({
      description:
        'deploy even if this release already runs, a newer run has deployed, or a check of mounts, database or older code refuses it',
      default: 'false',
      parse: value.parseBoolean,
    }),
  },
  rollback: {
    ...connection,
    directory,
    version: input({
      description: 'the release to go back to, such as `v1.2.0`',
      otherwise: 'the release that served before the current one was first deployed',
      parse: value.optional(value.parseVersion),
    }),
    'reverse-migrations': input({
      description:
        'unapply the migrations that the older release does not know, while the app is stopped; what was written into their tables and columns is lost, and the plan lists it',
      default: 'false',
      parse: value.parseBoolean,
    }),
    backup: input({
      description:
        'backup of the database before migrations are unapplied: `auto`: when that loses data; `always`; `never`',
      default: 'auto',
      parse: value.oneOf('auto', 'always', 'never'),
    }),
    'dry-run': dryRun,
    'plan-digest': input({
      description: 'roll back only if the plan still has this digest, which is the output `plan-digest` of a dry run',
      parse: value.optional(value.parseDigest),
    }),
    environment,
    'github-token': input({ ...githubToken, description: 'token for `environment`' }),
    ...health,
  },
}

const { deploy } = releasing

/** The inputs of `deploy` that count on a pull request, which needs no host. */
export const judged = {
  version: deploy.version,
  'compose-files': deploy['compose-files'],
  project: deploy.project,
  profiles: deploy.profiles,
  services: deploy.services,
  image: deploy.image,
  set: deploy.set,
  files: deploy.files,
  'env-file': deploy['env-file'],
  'env-files': deploy['env-files'],
  manage: deploy.manage,
  migrate: deploy.migrate,
  drift: deploy.drift,
  'accept-migrations': deploy['accept-migrations'],
  databases: deploy.databases,
  comment: deploy.comment,
  'github-token': deploy['github-token'],
}

/** The inputs with which the post step connects to the host, and to GitHub, after any command. */
export const route = { ...connection, 'github-token': deploy['github-token'] }

/** The inputs that locate the project on the host. */
export const place = { ...connection, directory: deploy.directory, project: deploy.project }

/** The inputs of each command, in the order of the documentation. Only inputs that work are listed. */
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
        'content of `.env` for this release, if build sections of the Compose file use its variables; give `deploy` the same content',
      secret: true,
      parse: value.optional(value.parseDotEnv),
    }),
  },
  exec: {
    ...connection,
    directory,
    service: input({
      description: 'service whose container runs the command',
      otherwise: 'the one that runs Django',
      parse: value.optional(value.parseService),
    }),
    run: input({
      description:
        'what to run, one line or several, in the `sh` of the container, such as `python manage.py clearsessions`',
      required: true,
      parse: value.parseScript,
    }),
    env: input({
      description: 'variables only for this run, one `NAME=value` per line; quotes are part of the value',
      secret: true,
      parse: value.linesOf(value.parseVariable),
    }),
  },
  status: { ...connection, directory },
}

/** The inputs of `deploy` in the README's groups. A test checks that each is in exactly one group. */
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
  'Migrations and static files': [
    'manage',
    'migrate',
    'drift',
    'accept-migrations',
    'databases',
    'migrate-timeout',
    'migrate-lock-timeout',
    'backup',
    'collectstatic',
  ],
  Health: ['try', 'health-url', 'health-headers', 'health-status', 'health-timeout', 'url'],
  'Plan and failure': ['dry-run', 'plan-digest', 'force', 'on-failure', 'keep-releases', 'environment', 'comment'],
}

/** The commands of the action; each has its own action.yml. */
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

/** The checked inputs of a `deploy` on a pull request. */
export type JudgeInputs = Values<typeof judged>

/** The checked inputs of `rollback`. */
export type RollbackInputs = Values<(typeof inputs)['rollback']>

/** The checked inputs of `build`. */
export type BuildInputs = Values<(typeof inputs)['build']>

/** The checked inputs of `exec`. */
export type ExecInputs = Values<(typeof inputs)['exec']>

/** The checked inputs of `status`. */
export type StatusInputs = Values<(typeof inputs)['status']>
