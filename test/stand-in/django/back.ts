import { expect } from '@jest/globals'
import { makeProject, migration, probe, start, usual, type Outcome } from './probe.ts'
import { go, type Site } from './world.ts'

type Files = Readonly<Record<string, string | null>>

/** A database that a newer project has migrated, and how to go back to an older one. */
export type Case = { env: Record<string, string>; old: string; now: string; django: string }

export const shop = (name: string): string => `shop/migrations/${name}.py`
export const after = (name: string, ...operations: string[]): string => migration(`shop.${name}`, operations.join(', '))

/** Migrates this empty database to the older project, and then to the newer one. */
export async function migrateTwice(
  site: Pick<Site, 'env'>,
  database: string,
  files: Files,
  django: string = usual,
  old: Files = {},
): Promise<Case> {
  const [older, now] = [await makeProject(old), await makeProject({ ...old, ...files })]
  const env = site.env(database)
  for (const project of [older, now]) {
    const planned = await probe('plan', project, { env, django })
    const pending = planned.result['pending'] as { app: string; name: string; source: string }[]
    const approved = pending.map(({ app, name, source }) => `${app}.${name}=${source}`).join(' ')
    const applied = await go(start('migrate', project, { env: { ...env, DEPLOY_DJANGO_APPROVED: approved }, django }))
    if (applied.code !== 0) throw new Error(applied.stderr)
  }
  return { env, old: older, now, django }
}

/** What the host hands over: the older release's answer as it is. */
export async function planReverse({
  env,
  old,
  now,
  django,
}: Case): Promise<Outcome & { handed: Record<string, string> }> {
  const fit = await probe('fit', old, { env, django })
  const target = { ...env, DEPLOY_DJANGO_TARGET: JSON.stringify(fit.result) }
  const planned = await probe('reverse', now, { env: target, django })
  return { ...planned, handed: { ...target, DEPLOY_DJANGO_REVERSE: JSON.stringify(planned.result) } }
}

export const unapply = (made: Case, handed: Record<string, string>): Promise<Outcome> =>
  go(start('unapply', made.now, { env: handed, django: made.django }))

export const names = (listed: unknown): string[] =>
  (listed as { app: string; name: string }[]).map(({ app, name }) => `${app}.${name}`)

/** Expects that the older code can work with the database and has no pending or unknown migrations. */
export async function expectOld({ env, old, django }: Case): Promise<void> {
  const verified = await probe('verify', old, { env, django })
  expect(verified).toMatchObject({ code: 0, result: { pending: [], unknown: [] } })
  expect(await probe('fit', old, { env, django })).toMatchObject({ code: 0, result: { problems: [], ahead: [] } })
}
