import type { App } from '../compose/app.ts'
import type { Run } from '../process.ts'
import { lookInside } from './container.ts'

/** The user id of each service. Unknown ones are left out, for example when the image is not on the runner. */
export async function readUsers(services: readonly string[], app: App, run: Run): Promise<ReadonlyMap<string, string>> {
  const read = await Promise.all(
    services.map(async (service): Promise<[string, string][]> => {
      const { image, user } = app.services.get(service) ?? {}
      const number = await readUser(user ?? '', image ?? '', run)
      return number === undefined ? [] : [[service, number]]
    }),
  )
  return new Map(read.flat())
}

/** `user` is that of the Compose file, empty when the image decides. */
async function readUser(user: string, image: string, run: Run): Promise<string | undefined> {
  const text = user === '' ? await readImageUser(image, run) : user
  const [name] = text?.split(':') ?? []
  if (name === undefined || name === '' || /^\d+$/.test(name)) return name === '' ? '0' : name
  const docker = (...args: string[]) => run('docker', args)
  const readAccounts = (id: string) => docker('cp', '--follow-link', `${id}:/etc/passwd`, '-')
  const looked = await lookInside(image, docker, readAccounts, ['--pull', 'never'])
  if (looked.kind === 'missing') return undefined
  const account = looked.seen.stdout.split('\n').find((line) => line.startsWith(`${name}:`))
  return account?.split(':')[2]
}

async function readImageUser(image: string, run: Run): Promise<string | undefined> {
  const { code, stdout } = await run('docker', ['image', 'inspect', '--format', '{{.Config.User}}', image])
  return code === 0 ? stdout.trim() : undefined
}
