/** The development side of an example as a person has it: a checkout and Compose on this machine. */
import { basename } from 'node:path'
import { freePort } from './django/postgres.ts'
import { docker, environment } from './world/docker.ts'
import { makeProject, type Project } from './world/project.ts'

export type Development = AsyncDisposable & {
  project: Project
  /** Runs `docker compose` in the checkout. */
  compose(...words: readonly string[]): Promise<string>
  /** Text of a page of the site; empty while nothing answers. */
  page(path?: string): Promise<string>
}

/** Starts an example with `docker compose up`. */
export async function develop(example: string): Promise<Development> {
  const project = await makeProject(example)
  const port = await freePort()
  const options = { cwd: project.workspace, env: { ...environment, PORT: String(port) } }
  const name = basename(project.workspace).toLowerCase()
  const development: Development = {
    project,
    compose: (...words) => docker(['compose', '-p', name, ...words], options),
    async page(path = '/') {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
      return (await answer?.text()) ?? ''
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
