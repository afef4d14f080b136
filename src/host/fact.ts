/**
 * Facts of a release: one file each in `releases/<id>/facts`, one item per line. A later run reads them, or the host on
 * its own.
 */
export const RELEASE_FACTS = {
  version: 'the version, as people name the release',
  project: 'the Compose project',
  commit: 'of the checkout',
  services: '`role level service`: the services; of the app, those with a lower level start first',
  proxies: 'app services that are a proxy, which keep running while the app is stopped',
  images: '`service name@digest`',
  'images-beside': 'images of services that are not built here',
  django: 'the service that runs Django',
  manage: 'how manage.py is started, a word per line',
  start: '`settings=module` and `module=module`, as far as the start command names what Django starts with',
  migrate: 'the input `migrate`',
  databases: 'the input `databases`',
  collectstatic: 'the input `collectstatic`',
  try: 'the input `try`',
  behind: '`service hash` of the definition of each service behind the app',
  optional: 'services that may fail, because no other service waits for them',
  networks: '`key name`: networks of the project that Django is in; `-` when a variable is in the name',
  volumes: '`key name`: its volumes, in the same way',
  fronts: '`service port`: what visitors reach first',
  env: '`shipped` or `server`: whose `.env` it is',
  'env-files': 'env files, and those of secrets and configs, that must be on the host',
  'optional-env-files': 'env files that the containers read if the host has them',
  'variable-files': 'shipped files that set variables; the other ones are secrets, configs or mounted',
  'bound-files': 'other files that are mounted and must be there',
  contents: '`service hash`: what the image of a built service holds',
  below:
    '`service holds filled path`: what the image of a service holds below a named volume, and what the volume was filled with',
  strangers: 'services that seem to be another Django project',
  fingerprint: 'a hash, equal for the same images, files and settings',
  'rollback-steps': 'the plan of a rollback to it without GitHub, a step per line',
  'reversal-steps': 'the same with `--reverse-migrations`',
} as const

/** Facts of a deployment: one file each in `plans/<id>/facts`. */
export const PLAN_FACTS = {
  target: 'the release that is put in place',
  run: 'the number of the workflow run',
  url: 'who deploys, for those who wait',
  force: '`yes`: also over a newer run',
  approved: '`app.name=source` of the migrations to apply; in a further database `alias:app.name=source`',
  return:
    'how a failure is reverted: `containers`; `reverse`: the new image unapplies first; `none`: it does not, the new release stays',
  breaking: 'migrations with which the old code cannot work, as `app.name` or `alias:app.name`',
  lasting: 'migrations that cannot be unapplied without loss',
  migrated: 'the plan has just seen that the migrations of the current release are applied; removed when that is old',
  backup: 'how the database is dumped before its schema changes: see `read_backup`',
  dump: 'the same, for a later rollback without GitHub',
  'migrate-timeout': 'seconds',
  'lock-timeout': 'milliseconds',
  'health-timeout': 'seconds',
  'on-failure': 'the input `on-failure`',
  update: 'stateful services whose changed definition is applied',
  scale: '`service=number`',
  counts: '`service=number` of every service that the release names',
  keep: 'how many releases stay',
  explanations: '`code text` of each exit code, for a rollback without GitHub',
  compare: '`yes`: the runner has not compared the two releases, so step `try` does',
  adopt: 'the release that a hand-made stack becomes, and the release that must serve until then',
  'adopt-images': '`service image`',
  'adopt-files': 'the Compose files that it was started with',
  'adopt-env-files': 'the env files that it was started with',
} as const

/**
 * The facts that replace the inputs in a rollback. Each plan also holds them in `rollback/facts`, for a rollback
 * without GitHub.
 */
export const ROLLBACK_FACTS = {
  force: ['no'],
  'migrate-timeout': ['3600'],
  'lock-timeout': ['5000'],
  'on-failure': ['rollback'],
  // A rollback must not remove the releases that it could go forward to.
  keep: ['100'],
} as const satisfies FactLines<PlanFact>

export type ReleaseFact = keyof typeof RELEASE_FACTS
export type PlanFact = keyof typeof PLAN_FACTS

/** Facts in the form in which they are written. */
export type FactLines<Name extends ReleaseFact | PlanFact = ReleaseFact | PlanFact> = Readonly<
  Partial<Record<Name, readonly string[]>>
>

/** Facts of a release, as read from the host. */
export type Facts = ReadonlyMap<ReleaseFact, readonly string[]>

export function isReleaseFact(name: string): name is ReleaseFact {
  return Object.hasOwn(RELEASE_FACTS, name)
}

/** The single line of a fact. */
export function fact(facts: Facts | undefined, name: ReleaseFact): string | undefined {
  return facts?.get(name)?.[0]
}
