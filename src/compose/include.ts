import { posix } from 'node:path'
import { isScalar, visit } from 'yaml'
import { DeployError } from '../errors.ts'
import {
  isValues,
  listOf,
  parseSource,
  placeOf,
  textOf,
  textsOf,
  valuesOf,
  type Source,
  type Values,
} from './document.ts'
import { readEnvTemplates, type Misread } from './env-file.ts'
import { hasVariable, namesIn, isOperand, withDefaults } from './variable.ts'

/** A Compose file as Compose will read it. Its paths start from `folder`, which is relative to the project's folder. */
export type SourceFile = { source: Source; text: string; folder: string }

/** All files of a project. Compose also needs the env files and folders that `include` names. */
export type Sources = {
  files: ReadonlyMap<string, SourceFile>
  envFiles: readonly string[]
  folders: readonly string[]
}

/** How a file is read. Its paths start from `folder`; `defaults` are for variables that the project does not set. */
type Scope = { folder: string; defaults: ReadonlyMap<string, string> }

type Read = (path: string) => Promise<string | undefined>

/**
 * Reads the given Compose files, and the files of the repository that they name by `include` and `extends`. In an
 * included file, `${NAME}` gets a default from its env file. After the merge, the file of a variable is no longer known.
 */
export async function readSources(files: readonly string[], read: Read): Promise<Sources> {
  const found = new Map<string, SourceFile>()
  const envFiles = new Set<string>()
  const folders = new Set<string>()
  const root: Scope = { folder: posix.dirname(files[0] ?? ''), defaults: new Map() }
  const waiting: { path: string; scope: Scope }[] = files.map((path) => ({ path, scope: root }))
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { path, scope } = next
    const text = await read(path)
    if (text === undefined) continue
    const file = { ...fillFile(path, text, scope.defaults), folder: posix.relative(root.folder, scope.folder) || '.' }
    const known = found.get(path)
    if (known) {
      if (known.text !== file.text) throw readTwice(path)
      continue
    }
    found.set(path, file)
    const model = valuesOf(file.source.document.toJS())
    // Compose resolves names from the project's folder or from that of the extending file, so both are tried.
    const bases = [...new Set([posix.dirname(path), scope.folder])]
    const place = (names: readonly string[], scopeOf: (found: string) => Scope): void => {
      const all = names.flatMap((name) => bases.map((base) => posix.join(base, name)))
      waiting.push(...all.map((one) => ({ path: one, scope: scopeOf(one) })))
    }
    place(extendedIn(model), (one) => ({ folder: posix.dirname(one), defaults: scope.defaults }))
    for (const include of includesIn(model, scope, root)) {
      folders.add(include.folder)
      include.envFiles.filter(({ isNamed }) => isNamed).forEach((each) => envFiles.add(each.path))
      const defaults = await readDefaults(include, scope, file.source, read)
      place(include.paths, () => ({ folder: include.folder, defaults }))
    }
  }
  return { files: found, envFiles: [...envFiles], folders: [...folders].filter((folder) => !folder.startsWith('..')) }
}

/** One entry of `include:`. Without `env_file:`, the `.env` of the included folder is read if it exists. */
type Include = {
  paths: readonly string[]
  folder: string
  envFiles: readonly { path: string; isNamed: boolean }[]
}

function includesIn(model: Values, { folder: from }: Scope, root: Scope): readonly Include[] {
  return listOf(model['include']).flatMap((entry) => {
    const { path, project_directory, env_file } = isValues(entry) ? entry : { path: entry }
    const paths = textsOf(path).filter(isInside)
    const [first] = paths
    if (first === undefined) return []
    const folder = posix.join(from, textOf(project_directory) ?? posix.dirname(first))
    const named = textsOf(env_file).filter((name) => name !== '/dev/null')
    // The `.env` in the project's own folder is skipped: it is for development.
    const own =
      env_file === undefined && folder !== root.folder ? [{ path: posix.join(folder, '.env'), isNamed: false }] : []
    return [
      { paths, folder, envFiles: [...named.map((name) => ({ path: posix.join(from, name), isNamed: true })), ...own] },
    ]
  })
}

/**
 * The defaults from the env files. A later file overrides an earlier one; the including file's defaults override both.
 */
async function readDefaults(
  { paths, envFiles }: Include,
  outer: Scope,
  source: Source,
  read: Read,
): Promise<ReadonlyMap<string, string>> {
  let defaults: ReadonlyMap<string, string> = new Map()
  for (const { path, isNamed } of envFiles) {
    const content = await read(path)
    if (content === undefined && isNamed) throw missing(path, paths[0] ?? '', source)
    const { values, misread } = readEnvTemplates(content ?? '', outer.defaults, defaults)
    if (misread[0]) throw misreadIn(path, misread[0])
    defaults = new Map([...defaults, ...values])
  }
  return new Map([...defaults, ...outer.defaults])
}

const isInside = (name: string): boolean => !name.startsWith('/') && !name.includes('://') && !hasVariable(name)

function extendedIn(model: Values): readonly string[] {
  const names = Object.values(valuesOf(model['services'])).map((service) =>
    textOf(valuesOf(valuesOf(service)['extends'])['file']),
  )
  return names.filter((name) => name !== undefined).filter(isInside)
}

/** Writes the defaults into each text of the file that has a variable. */
function fillFile(path: string, text: string, defaults: ReadonlyMap<string, string>): Omit<SourceFile, 'folder'> {
  const source = parseSource(path, text)
  if (defaults.size === 0) return { source, text }
  const cuts: { from: number; to: number; text: string }[] = []
  visit(source.document, {
    Scalar(key, node) {
      if (key === 'key' || typeof node.value !== 'string' || !node.range) return
      const filled = withDefaults(node.value, defaults)
      if (filled === node.value) return
      const name = namesIn(node.value).find((one) => !isOperand(defaults.get(one) ?? ''))
      if (name !== undefined) throw notWritable(name, source, node.range[0])
      const isBlock = isScalar(node) && /^BLOCK/.test(node.type ?? '')
      cuts.push({ from: node.range[0], to: node.range[1], text: JSON.stringify(filled) + (isBlock ? '\n' : '') })
    },
  })
  const result = cuts.reduceRight((all, cut) => all.slice(0, cut.from) + cut.text + all.slice(cut.to), text)
  return { source: parseSource(path, result), text: result }
}

function misreadIn(path: string, { line, why, fix }: Misread): DeployError {
  return new DeployError('compose-invalid', {
    what: `${path}, an env file of include, would be read differently from how it is written: line ${line}`,
    why,
    fix,
    annotation: { file: path, line },
  })
}

function missing(name: string, included: string, source: Source): DeployError {
  return new DeployError('env-file-missing', {
    what: `${name}, the env file with which ${source.path} includes ${included}, is not in the repository`,
    why: 'an env file of include holds defaults of the included file, which belong to the repository',
    fix: `commit ${name}; or remove that env_file from ${source.path}, and set its variables in the input env-file or in .env on the host`,
    annotation: placeOf(source, ['include']),
  })
}

function notWritable(name: string, source: Source, offset: number): DeployError {
  return new DeployError('compose-invalid', {
    what: `The value of ${name} in the env file with which ${source.path} is included cannot be a default`,
    why: 'it has a brace or several lines, which Compose cannot read in ${NAME-default}',
    fix: `write the value into ${source.path} in place of \${${name}}`,
    annotation: source.place(offset),
  })
}

function readTwice(path: string): DeployError {
  return new DeployError('compose-invalid', {
    what: `${path} is read twice, with different values of its variables`,
    why: 'it is named by files that are included with different env files',
    fix: `make a copy of ${path} for one of them, or write the values into it in place of its variables`,
    annotation: { file: path },
  })
}
