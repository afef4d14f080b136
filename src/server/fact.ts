/** Facts of a release: a file each in `releases/<id>/facts`, an item per line. A later run reads them, or the host alone. */
export const RELEASE_FACTS = {
  version: 'as people call it',
  project: 'the Compose project',
  commit: 'of the checkout',
  services: '`level service`: what is replaced, those first that others wait for',
  images: '`service name@digest`',
  'images-beside': 'images that are not built here',
  django: 'the service that runs Django',
  manage: 'how manage.py is started, a word per line',
  migrate: 'the input `migrate`',
  collectstatic: 'the input `collectstatic`',
  data: 'services with data',
  once: 'services that run once and not again',
  jobs: 'services that run to their end for each release',
  backing: 'services behind the app that take a changed definition',
  alone: 'services that no other one waits for',
  others: 'other services, which take a changed definition',
  networks: '`key name`: networks of the project that Django is in; `-` when a variable is in the name',
  volumes: '`key name`: its volumes, in the same way',
  fronts: '`service port`: what visitors reach first',
  env: '`shipped` or `server`: whose `.env` it is',
  'env-files': 'env files, and those of secrets and configs, that must be on the host',
  'bound-files': 'other files that are mounted and must be there',
  contents: '`service hash`: what the image of a built service holds',
  fingerprint: 'the same for the same images, files and settings',
} as const

/** Facts of a deployment: a file each in `plans/<id>/facts`. */
export const PLAN_FACTS = {
  target: 'the release that is put in place',
  run: 'the number of the workflow run',
  url: 'who deploys, for those who wait',
  force: '`yes`: also over a newer run',
  approved: '`app.name=source` of the migrations to apply',
  'migrate-timeout': 'seconds',
  'lock-timeout': 'milliseconds',
  'health-timeout': 'seconds',
  'on-failure': 'the input `on-failure`',
  update: 'services with data that take a changed definition',
  scale: '`service=number`',
  counts: '`service=number` of every service that the release names',
  keep: 'how many releases stay',
  explanations: '`code text` of each exit code, for a rollback without GitHub',
  adopt: 'the release that a hand-made stack becomes, and what must serve until then',
  'adopt-images': '`service image`',
  'adopt-files': 'the Compose files that it was started with',
  'adopt-env-files': 'the env files that it was started with',
} as const

export type ReleaseFact = keyof typeof RELEASE_FACTS
export type PlanFact = keyof typeof PLAN_FACTS

/** Facts to be written. */
export type FactLines<Name extends ReleaseFact | PlanFact = ReleaseFact | PlanFact> = Readonly<
  Partial<Record<Name, readonly string[]>>
>

/** Facts of a release as the host has them. */
export type Facts = ReadonlyMap<ReleaseFact, readonly string[]>

export function isReleaseFact(name: string): name is ReleaseFact {
  return Object.hasOwn(RELEASE_FACTS, name)
}

/** The single line of a fact. */
export function fact(facts: Facts | undefined, name: ReleaseFact): string | undefined {
  return facts?.get(name)?.[0]
}
