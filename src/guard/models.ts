import type { Repository } from '../compose/repository.ts'
import { DeployError, type Place } from '../errors.ts'

/** Facts about models that changed without a migration. */
export type ChangedModels = {
  /** What `makemigrations` would add, as `app: Add field due to item`. */
  drift: readonly string[]
  repository: Repository
  manage: readonly string[]
}

/** One annotation for each changed model, and the failure if `drift: error` forbids the change. */
export type Drift = {
  failure: DeployError | undefined
  warnings: readonly { text: string; place: Place | undefined }[]
}

/** What to say of models that changed without a migration: their columns are missing in the database. */
export function explainDrift({ drift, repository, manage }: ChangedModels, setting: 'warn' | 'error'): Drift {
  const what = 'The models changed without a migration'
  const command = `${manage.join(' ')} makemigrations`
  const models = [...Map.groupBy(drift, modelOf)].map(([model, changes]) => ({
    text: `${what} (run \`${command}\`): ${changes.join('; ')}`,
    place: placeOfModel(model, repository),
  }))
  if (setting === 'warn') return { failure: undefined, warnings: models }
  // The failure is the annotation of the first model.
  const first = models.find(({ place }) => place !== undefined)
  const failure = new DeployError('models-changed', {
    what,
    seen: drift.join('\n'),
    why: 'the change was committed without the migration that `makemigrations` writes',
    fix: `run \`${command}\` and commit the new files; to deploy all the same, set \`drift: warn\``,
    annotation: first?.place,
  })
  return { failure, warnings: models.filter((model) => model.place !== undefined && model !== first) }
}

/** How Django describes an operation; the group is the model's name. */
const DESCRIPTIONS: readonly RegExp[] = [
  /\bmodel (\w+)$/, // Create model, Delete model, Create index … on model
  /^Rename model \w+ to (\w+)$/,
  /^Rename unnamed index for .* on (\w+) to \w+$/,
  /^Alter (\w+) table comment$/,
  /^(?:Add|Remove) field \w+ (?:to|from) (\w+)$/,
  /\b(?:on|from|for) (\w+)/,
]

/** `app.model` of a change, in lower case; the model is empty if the text does not name it. */
function modelOf(text: string): string {
  const [app = '', change = ''] = text.split(': ')
  const model = DESCRIPTIONS.map((each) => each.exec(change)?.[1]).find((name) => name !== undefined)
  return `${app}.${model?.toLowerCase() ?? ''}`
}

/** The line of the model's class in its app; without the class, as for a deleted model, the app's first file of models. */
function placeOfModel(model: string, { files, read }: Repository): Place | undefined {
  const [app = '', name] = model.split('.')
  const modules = [...files.keys()].filter((path) => isModels(`/${path}`, app))
  for (const file of modules) {
    const lines = read(file).toString().split('\n')
    const at = lines.findIndex((line) => /^\s*class (\w+)\b/.exec(line)?.[1]?.toLowerCase() === name)
    if (at >= 0) return { file, line: at + 1 }
  }
  const main = modules.find((file) => /\bmodels(\/__init__)?\.py$/.test(file)) ?? modules[0]
  return main === undefined ? undefined : { file: main }
}

function isModels(path: string, app: string): boolean {
  return path.endsWith(`/${app}/models.py`) || (path.endsWith('.py') && path.includes(`/${app}/models/`))
}
