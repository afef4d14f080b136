import { parse } from 'yaml'
import { readApp } from '../../../src/compose/app.ts'
import { parseSource, valuesOf } from '../../../src/compose/document.ts'
import { readEnvFile } from '../../../src/compose/env-file.ts'
import { groupBuilds, neededGroups } from '../../../src/compose/group.ts'
import { toProject, type Project } from '../../../src/compose/project.ts'
import { makeRelease, type Release } from '../../../src/compose/release.ts'
import type { Repository } from '../../../src/compose/repository.ts'
import { activeServices, assignRoles } from '../../../src/compose/role.ts'

/** A project from the text that `docker compose config` would print for it. */
export function projectOf(text: string, file = 'compose.yaml'): Project {
  return toProject([file], undefined, parse(text), [parseSource(file, text)])
}

/** Any digest. */
export const DIGEST = `sha256:${'d'.repeat(64)}`

/** A repository of these texts; scripts are executable. */
export function repositoryOf(files: Record<string, string>): Repository {
  return {
    files: new Map(Object.keys(files).map((path) => [path, path.endsWith('.sh')])),
    read: (path) => Buffer.from(files[path] ?? ''),
  }
}

type Options = {
  files?: Record<string, string>
  file?: string
  id?: string
  envFile?: string
  envFiles?: { path: string; content: string }[]
  profiles?: string[]
  before?: Release
  update?: string[]
  digest?: string
  there?: string[]
  /** What the built images hold; by default that of the digest. */
  content?: string
}

/** The release of a project whose built services all run one pushed image. */
export function release(
  text: string,
  {
    files = {},
    file,
    id = 'v1-1-1',
    envFile,
    envFiles = [],
    profiles = [],
    before,
    update = [],
    digest = DIGEST,
    there = [],
    content = digest,
  }: Options = {},
): Release {
  const project = projectOf(text, file)
  const groups = groupBuilds(project)
  const [django] = groups
  if (!django) throw new Error('nothing is built')
  const roles = assignRoles({ project, groups, django, services: [], profiles })
  const active = activeServices(project, [], profiles).map(({ name }) => name)
  const images = new Map(
    neededGroups(groups, active).flatMap(({ services }) => services.map((name) => [name, `ghcr.io/o/r@${digest}`])),
  )
  return makeRelease({
    project,
    name: 'shop',
    id,
    roles,
    djangoServices: django.services,
    images,
    repository: repositoryOf(files),
    envFile,
    envFiles,
    profiles,
    before: readApp(before ? modelOf(before) : {}),
    settingsBefore: before && settingsOf(before),
    update,
    there,
    contents: new Map([...images.keys()].map((service) => [service, content])),
    contentsBefore: before?.contents ?? new Map(),
  })
}

/** What the `.env` of a release sets. */
function settingsOf({ envFiles }: Release): ReadonlyMap<string, string> | undefined {
  const own = envFiles.find(({ path }) => path === 'env/.env')
  return own && readEnvFile(own.content.toString()).values
}

export const modelOf = (made: Release) => valuesOf(parse(made.compose))
export const serviceOf = (made: Release, name: string) => valuesOf(valuesOf(modelOf(made)['services'])[name])
