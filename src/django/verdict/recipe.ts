import type { Field, Operation } from './facts.ts'
import { compareTypes, isSameType } from './types.ts'
import type { Verdict } from './verdict.ts'

/** How to make the same change in a way that the old code survives: several releases in order, or alternatives. */
export type Recipe = readonly Part[]

/** An instruction, with the operations or model lines to write for it. */
type Part = { does: string; code: readonly string[] }

/** Pure: the safe way to write an operation; undefined when it is safe already, or when there is none. */
export function findRecipe(operation: Operation, verdict: Verdict, vendor: string): Recipe | undefined {
  if (operation.nested) {
    const parts = operation.nested.map((part) => findRecipe(part, verdict, vendor))
    return parts.find((recipe) => recipe !== undefined) ?? (verdict.breaks.length > 0 ? inTwo : undefined)
  }
  if (verdict.breaks.length > 0) return recipes[operation.kind]?.(operation, vendor) ?? inTwo
  return later[operation.kind]?.(operation, vendor)
}

/** `Release 1: …`, each instruction with its code below. */
export function describeRecipe(recipe: Recipe): string {
  return recipe
    .map(({ does, code }) => [`${does}${code.length > 0 ? ':' : ''}`, ...code.map((line) => `    ${line}`)].join('\n'))
    .join('\n')
}

type Rule = (operation: Operation, vendor: string) => Recipe | undefined

/** The verdict in release 2 does not see that the code of release 1 avoids the problem. So it may require approval. */
const APPROVED =
  'Release 2: this migration, with `migrate: before`, because the code of release 1 can work with it. Approve it if the plan requires approval'

const inTwo: Recipe = [
  part('Release 1: change the code so that it works before and after this migration'),
  part(APPROVED),
]

/** For operations that break the old code. */
const recipes: Readonly<Record<string, Rule>> = {
  AddField,
  RemoveField,
  RenameField,
  AlterField,
  DeleteModel: (operation, vendor) => [
    part(
      'Release 1: remove the model from the code, and keep its table',
      ...operation.relations.flatMap((field) => alterTo(operation, field, loosened(field, codeOf(field)))),
      stateOnly(`DeleteModel(${model(operation)})`),
    ),
    part(
      'Release 2: remove the table',
      ...[...operation.relations.flatMap(({ relation }) => relation?.links ?? []), tableOf(operation)].map((table) =>
        runSql(`DROP TABLE ${quote(table, vendor)}`),
      ),
    ),
  ],
  RenameModel: (operation) => [
    part(
      'In one release: rename the model only in Python, with the old name of its table in `class Meta`',
      `db_table = ${text(tableOf(operation))}  # in class Meta of the renamed model`,
      `migrations.AlterModelTable(${model(operation)}, ${text(tableOf(operation))}),  # before the RenameModel`,
    ),
  ],
  AlterModelTable: (operation) => [
    part('In one release: keep the name of the table', `db_table = ${text(tableOf(operation))}  # in class Meta`),
  ],
  AlterUniqueTogether: () => refusing('duplicate rows'),
  AddConstraint: () => refusing('rows that the constraint refuses'),
  AddConstraintNotValid: () => refusing('rows that the constraint refuses'),
}

/** For operations that the old code survives, but that can still be improved. */
const later: Readonly<Record<string, Rule>> = {
  RunPython: ({ reverse, noop }) =>
    reverse === 'none' || noop
      ? [
          part(
            'Give it a reverse, so that a failed deploy can go back: a function, or `noop` if nothing has to be undone',
            'migrations.RunPython(forwards, reverse_code=migrations.RunPython.noop)',
          ),
        ]
      : undefined,
  RunSQL: ({ reverse }) =>
    reverse === 'none'
      ? [
          part(
            'Give it a reverse, so that a failed deploy can go back: SQL, or `noop` if nothing has to be undone',
            'migrations.RunSQL(sql, reverse_sql=migrations.RunSQL.noop)',
          ),
        ]
      : undefined,
  AddIndex: (operation, vendor) =>
    vendor === 'postgresql' && operation.table?.exists
      ? [
          part(
            'Without stopping writes: build it concurrently, in a migration of its own',
            'atomic = False  # in class Migration; from django.contrib.postgres.operations import AddIndexConcurrently',
            `AddIndexConcurrently(${model(operation)}, ${operation.index ?? 'index'}),`,
          ),
        ]
      : undefined,
}

function AddField(operation: Operation): Recipe | undefined {
  const added = operation.field?.after
  if (!added) return undefined
  const optional = [
    part('Release 1: add it with NULL allowed', addField(operation, withArgument(codeOf(added), 'null=True'))),
    part(
      'Release 2, with `migrate: before`: fill the rows that have none, and forbid NULL. Approve it, because the code of release 1 sets it',
      `migrations.AlterField(${model(operation)}, ${text(added.name)}, ${codeOf(added)}),`,
    ),
  ]
  const filled = byDatabase(added)
  if (filled === undefined) return optional
  return [
    part(
      'In one release, with Django 5.0 or later: let the database fill it, in the model and here',
      addField(operation, filled),
    ),
    ...optional.map(({ does, code }) => ({ does: does.replace('Release 1', 'Or release 1'), code })),
  ]
}

/**
 * Release 1 removes the field in Python only. Release 2 removes the column; its state gets the field back just for
 * that.
 */
function RemoveField(operation: Operation): Recipe | undefined {
  const removed = operation.field?.before
  if (!removed) return undefined
  const names = namesOf(operation, removed)
  const what = removed.manyToMany ? 'table' : 'column'
  return [
    part(
      `Release 1: remove ${removed.name} from the code and the model, and keep its ${what}`,
      ...letGo(operation, removed),
    ),
    part(
      `Release 2: remove the ${what}`,
      stateOnly(`AddField(${names}, ${keptOf(removed)})`),
      `migrations.RemoveField(${names}),`,
    ),
  ]
}

/** Removes the field from the code only. */
function letGo(operation: Operation, field: Field): string[] {
  return [...alterTo(operation, field, keptOf(field)), stateOnly(`RemoveField(${namesOf(operation, field)})`)]
}

/** Nothing if the field has this code already. */
function alterTo(operation: Operation, field: Field, code: string): string[] {
  return code === codeOf(field) ? [] : [`migrations.AlterField(${namesOf(operation, field)}, ${code}),`]
}

const namesOf = (operation: Operation, field: Field): string => `${model(operation)}, ${text(field.name)}`
const isFilled = (field: Field): boolean => field.null || field.dbDefault || field.generated || field.manyToMany

/** A field as the database can keep it without the code: it needs no value. */
const keptOf = (field: Field): string =>
  loosened(field, isFilled(field) ? codeOf(field) : withArgument(codeOf(field), 'null=True'))

/** Without its foreign keys: they would forbid the new code to delete the rows that they point to. */
function loosened({ relation, column }: Field, code: string): string {
  const isEnforced = relation?.constraint && (relation.links !== null || column !== null)
  return isEnforced ? withArgument(code, 'db_constraint=False') : code
}

function RenameField(operation: Operation): Recipe | undefined {
  const { before, after } = operation.field ?? {}
  if (!before?.column || !after) return undefined
  const kept = withColumn(before, before.column)
  return [
    part(
      'In one release: rename it only in Python, and keep the column',
      `${after.name} = ${kept}  # in the model`,
      `migrations.AlterField(${model(operation)}, ${text(before.name)}, ${kept}),`,
      `migrations.RenameField(${model(operation)}, ${text(before.name)}, ${text(after.name)}),`,
    ),
    part(
      'Or release 1: add the new field and copy the values; the code writes both and reads the old one',
      addField(operation, withArgument(codeOf(before), 'null=True'), after.name),
      'migrations.RunPython(copy, migrations.RunPython.noop),',
    ),
    part(`Release 2: the code uses only ${after.name}`, ...letGo(operation, before)),
  ]
}

function AlterField(operation: Operation, vendor: string): Recipe | undefined {
  const { before, after } = operation.field ?? {}
  if (!before || !after) return undefined
  const { name } = after
  if (before.column !== null && before.column !== after.column) {
    return [part('In one release: keep the column', `${name} = ${withColumn(after, before.column)}  # in the model`)]
  }
  if (!isSameType(before, after) && compareTypes(before, after, vendor).kind !== 'wider') {
    return compareTypes(before, after, vendor).kind === 'narrower'
      ? [
          part(`Release 1: the code writes only values that fit ${codeOf(after)}, and shortens existing values`),
          part(APPROVED),
        ]
      : [
          part(
            `Release 1: add a field of the new type, and copy the values; the code writes both and reads ${name}`,
            addField(operation, withArgument(codeOf(after), 'null=True'), `${name}_new`),
            'migrations.RunPython(copy, migrations.RunPython.noop),',
          ),
          part(`Release 2: the code uses only ${name}_new`, ...letGo(operation, before)),
        ]
  }
  if (before.null && !after.null) {
    return [
      part(
        `Release 1: the code no longer writes NULL to ${name}, and fills the rows that have it`,
        `Model.objects.filter(${name}__isnull=True).update(${name}=…)  # in a RunPython`,
      ),
      part(APPROVED),
    ]
  }
  if (!before.unique && after.unique) return refusing(`rows with the same ${name}`)
  if (before.check !== after.check && after.check !== null) return refusing('rows that the check refuses')
  if (before.dbDefault && !after.dbDefault) {
    return [
      part(
        `Release 1: the code sets ${name} itself, and the database keeps its default`,
        `${name} = ${withDefault(before)}  # in the model`,
      ),
      part('Release 2: this migration'),
    ]
  }
  return undefined
}

function refusing(rows: string): Recipe {
  return [part(`Release 1: the code no longer writes ${rows}, and existing ones are corrected`), part(APPROVED)]
}

function part(does: string, ...code: readonly string[]): Part {
  return { does, code }
}

function addField(operation: Operation, code: string, name = operation.field?.name ?? ''): string {
  return `migrations.AddField(${model(operation)}, ${text(name)}, ${code}),`
}

const stateOnly = (operation: string): string =>
  `migrations.SeparateDatabaseAndState(state_operations=[migrations.${operation}]),`

const runSql = (sql: string): string => `migrations.RunSQL('${sql}', migrations.RunSQL.noop),`

/** The code's default as a database default; undefined when it is not a constant. */
function byDatabase(field: Field): string | undefined {
  const { defaultCode, unique, computedDefault, relation } = field
  if (defaultCode === null || unique || computedDefault || relation) return undefined
  const [code, given] = [codeOf(field), `default=${defaultCode}`]
  return code.includes(given) ? code.replace(given, `db_${given}`) : withArgument(code, `db_${given}`)
}

function withDefault(field: Field): string {
  return field.dbDefaultCode === null || field.computedDefault
    ? withArgument(codeOf(field), 'default=…')
    : withArgument(codeOf(field), `default=${field.dbDefaultCode}`)
}

function withColumn(field: Field, column: string): string {
  const given = /\bdb_column='[^']*'/
  const code = codeOf(field)
  return given.test(code)
    ? code.replace(given, `db_column='${column}'`)
    : withArgument(codeOf(field), `db_column='${column}'`)
}

/** The field with this argument: `models.CharField(max_length=20, null=True)`. */
function withArgument(code: string, argument: string): string {
  if (['(', ' '].some((before) => code.includes(before + argument))) return code
  const open = code.slice(0, -1)
  return `${open}${open.endsWith('(') ? '' : ', '}${argument})`
}

/** The field's code as people write it in a migration, which imports `models`. */
function codeOf({ code }: Field): string {
  return (code ?? 'models.…(…)')
    .replaceAll('django.db.models.deletion.', 'models.')
    .replaceAll('django.db.models.', 'models.')
}

const model = (operation: Operation): string => text(operation.model ?? '…')
const tableOf = ({ table }: Operation): string => table?.name ?? '…'
const text = (name: string): string => JSON.stringify(name)

function quote(name: string, vendor: string): string {
  // Such a name leads to another schema: `audit"."log`.
  if (name.startsWith('"')) return name
  return vendor === 'mysql' ? `\`${name}\`` : `"${name}"`
}
