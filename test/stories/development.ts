/** The development side of an example as a person has it: a checkout and Compose on this machine. */
import { chmod } from 'node:fs/promises'
import { basename } from 'node:path'
import { freePort } from '../stand-in/django/postgres.ts'
import { docker, environment } from '../world/docker.ts'
import { makeProject, type Project } from '../world/project.ts'

export type Development = AsyncDisposable & {
  project: Project
  /** Runs `docker compose` in the checkout. */
  compose(...words: readonly string[]): Promise<string>
  /** Text and `X-Release` of a page of the site; nothing while nothing answers. */
  ask(path?: string): Promise<{ text: string; release: string | null }>
}

/** Starts an example with `docker compose up`, with its `PORT` and these variables set. */
export async function develop(example: string, env: Record<string, string> = {}): Promise<Development> {
  const project = await makeProject(example)
  // It is mounted, and the user of the image is another one.
  await chmod(project.workspace, 0o755)
  const port = await freePort()
  const options = { cwd: project.workspace, env: { ...environment, ...env, PORT: String(port) } }
  const name = basename(project.workspace).toLowerCase()
  const development: Development = {
    project,
    compose: (...words) => docker(['compose', '-p', name, ...words], options),
    async ask(path = '/') {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
      return { text: (await answer?.text()) ?? '', release: answer?.headers.get('x-release') ?? null }
    },
    async [Symbol.asyncDispose]() {
      await development.compose('down', '--volumes', '--rmi', 'local', '--timeout', '1')
      await project[Symbol.asyncDispose]()
    },
  }
  try {
    await development.compose('up', '--build', '--detach')
    return development
  } catch (error) {
    await development[Symbol.asyncDispose]()
    throw error
  }
}
