import { expect, test } from '@jest/globals'
import { readPending } from '../../../../src/django/verdict/facts.ts'
import { judge } from '../../../../src/django/verdict/judge.ts'
import { describeRecipe, findRecipe } from '../../../../src/django/verdict/recipe.ts'
import { column, field, operation } from './probed.ts'

/** The recipe of one operation, as people read it. */
function recipeOf(facts: object, vendor: string): string | undefined {
  const operations = [operation({ model: 'order', ...facts })]
  const migration = { app: 'shop', name: '0002', source: 'x', accept: false, atomic: true, needs: [], operations }
  const [judged] = judge(readPending([migration]), vendor)
  const [only] = judged?.operations ?? []
  const [verdict] = judged?.verdicts ?? []
  if (!only || !verdict) throw new Error('there is no verdict')
  const recipe = findRecipe(only, verdict, vendor)
  return recipe && describeRecipe(recipe)
}

const number = 'models.IntegerField()'
const approved =
  'Release 2: this migration, with `migrate: before`, because the code of release 1 can work with it. Approve it if the plan requires approval'
const removal = `migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("order", "it")]),`
const optional = 'migrations.AlterField("order", "it", models.IntegerField(null=True)),'
const adding = (code: string): string =>
  `migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("order", "it", ${code})]),`
/** A field of `order` that points to another model. */
const pointing = (given: object, relation: object = {}): object =>
  column({
    relation: {
      to: 'shop.other',
      table: 'shop_other',
      exists: true,
      links: null,
      constraint: true,
      on_delete: 'CASCADE',
      ...relation,
    },
    ...given,
  })

test.each<[string, object, string | undefined, string?]>([
  ['what is harmless needs none', { kind: 'AddField', ...field(null, { null: true }) }, undefined],
  [
    'a new field with a default',
    { kind: 'AddField', ...field(null, { code: 'models.IntegerField(default=3)', default: true, default_code: '3' }) },
    `In one release, with Django 5.0 or later: let the database fill it, in the model and here:
    migrations.AddField("order", "it", models.IntegerField(db_default=3)),
Or release 1: add it with NULL allowed:
    migrations.AddField("order", "it", models.IntegerField(default=3, null=True)),
Release 2, with \`migrate: before\`: fill the rows that have none, and forbid NULL. Approve it, because the code of release 1 sets it:
    migrations.AlterField("order", "it", models.IntegerField(default=3)),`,
  ],
  [
    'a new text that may be blank',
    {
      kind: 'AddField',
      ...field(null, { code: 'models.TextField(blank=True)', blank_text: true, default_code: "''" }),
    },
    `In one release, with Django 5.0 or later: let the database fill it, in the model and here:
    migrations.AddField("order", "it", models.TextField(blank=True, db_default='')),
Or release 1: add it with NULL allowed:
    migrations.AddField("order", "it", models.TextField(blank=True, null=True)),
Release 2, with \`migrate: before\`: fill the rows that have none, and forbid NULL. Approve it, because the code of release 1 sets it:
    migrations.AlterField("order", "it", models.TextField(blank=True)),`,
  ],
  [
    'a new field whose default is a function',
    { kind: 'AddField', ...field(null, { code: 'models.IntegerField(default=shop.models.next)', default: true }) },
    `Release 1: add it with NULL allowed:
    migrations.AddField("order", "it", models.IntegerField(default=shop.models.next, null=True)),
Release 2, with \`migrate: before\`: fill the rows that have none, and forbid NULL. Approve it, because the code of release 1 sets it:
    migrations.AlterField("order", "it", models.IntegerField(default=shop.models.next)),`,
  ],
  [
    'a new foreign key, as people write it in a migration',
    {
      kind: 'AddField',
      ...field(null, {
        code: "models.ForeignKey(default=1, on_delete=django.db.models.deletion.CASCADE, to='shop.tag')",
        default: true,
        default_code: '1',
        relation: {
          to: 'shop.tag',
          table: 'shop_tag',
          exists: true,
          links: null,
          constraint: true,
          on_delete: 'CASCADE',
        },
      }),
    },
    `Release 1: add it with NULL allowed:
    migrations.AddField("order", "it", models.ForeignKey(default=1, on_delete=models.CASCADE, to='shop.tag', null=True)),
Release 2, with \`migrate: before\`: fill the rows that have none, and forbid NULL. Approve it, because the code of release 1 sets it:
    migrations.AlterField("order", "it", models.ForeignKey(default=1, on_delete=models.CASCADE, to='shop.tag')),`,
  ],
  [
    'a field that must have a value is removed',
    { kind: 'RemoveField', ...field({}, null) },
    `Release 1: remove it from the code and the model, and keep its column:
    ${optional}
    ${removal}
Release 2: remove the column:
    ${adding('models.IntegerField(null=True)')}
    migrations.RemoveField("order", "it"),`,
  ],
  [
    'a field that may be NULL is removed',
    { kind: 'RemoveField', ...field({ null: true, code: 'models.IntegerField(null=True)' }, null) },
    `Release 1: remove it from the code and the model, and keep its column:
    ${removal}
Release 2: remove the column:
    ${adding('models.IntegerField(null=True)')}
    migrations.RemoveField("order", "it"),`,
  ],
  [
    'a many-to-many field is removed',
    {
      kind: 'RemoveField',
      ...field(
        {
          code: "models.ManyToManyField(to='shop.tag')",
          column: null,
          many_to_many: true,
          relation: {
            to: 'shop.tag',
            table: 'shop_tag',
            exists: true,
            links: 'shop_order_it',
            constraint: true,
            on_delete: null,
          },
        },
        null,
      ),
    },
    `Release 1: remove it from the code and the model, and keep its table:
    migrations.AlterField("order", "it", models.ManyToManyField(to='shop.tag', db_constraint=False)),
    ${removal}
Release 2: remove the table:
    ${adding("models.ManyToManyField(to='shop.tag', db_constraint=False)")}
    migrations.RemoveField("order", "it"),`,
  ],
  [
    'a field that allows NULL is renamed',
    {
      kind: 'RenameField',
      ...field({ code: 'models.IntegerField(null=True)', null: true }, { name: 'that', column: 'that' }),
    },
    `In one release: rename it only in Python, and keep the column:
    that = models.IntegerField(null=True, db_column='it')  # in the model
    migrations.AlterField("order", "it", models.IntegerField(null=True, db_column='it')),
    migrations.RenameField("order", "it", "that"),
Or release 1: add the new field and copy the values; the code writes both and reads the old one:
    migrations.AddField("order", "that", models.IntegerField(null=True)),
    migrations.RunPython(copy, migrations.RunPython.noop),
Release 2: the code uses only that:
    ${removal}`,
  ],
  [
    'a model in another schema is removed',
    {
      kind: 'DeleteModel',
      model: 'Log',
      table: { name: '"audit"."log"', after: null, known: true, exists: true, rows: 3, bytes: 8192 },
    },
    `Release 1: remove the model from the code, and keep its table:
    migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Log")]),
Release 2: remove the table:
    migrations.RunSQL('DROP TABLE "audit"."log"', migrations.RunSQL.noop),`,
  ],
  [
    'a field is renamed',
    { kind: 'RenameField', ...field({}, { name: 'that', column: 'that' }) },
    `In one release: rename it only in Python, and keep the column:
    that = models.IntegerField(db_column='it')  # in the model
    migrations.AlterField("order", "it", models.IntegerField(db_column='it')),
    migrations.RenameField("order", "it", "that"),
Or release 1: add the new field and copy the values; the code writes both and reads the old one:
    migrations.AddField("order", "that", models.IntegerField(null=True)),
    migrations.RunPython(copy, migrations.RunPython.noop),
Release 2: the code uses only that:
    ${optional}
    ${removal}`,
  ],
  [
    'a column gets another name',
    {
      kind: 'AlterField',
      ...field({}, { column: 'that', code: "models.IntegerField(db_column='that')" }),
    },
    `In one release: keep the column:
    it = models.IntegerField(db_column='it')  # in the model`,
  ],
  [
    'a narrower type',
    {
      kind: 'AlterField',
      ...field(
        { db_type: 'varchar(20)', code: 'models.CharField(max_length=20)' },
        { db_type: 'varchar(5)', code: 'models.CharField(max_length=5)' },
      ),
    },
    `Release 1: the code writes only values that fit models.CharField(max_length=5), and shortens existing values
${approved}`,
  ],
  [
    'another type',
    { kind: 'AlterField', ...field({ db_type: 'boolean' }, { db_type: 'integer', code: number }) },
    `Release 1: add a field of the new type, and copy the values; the code writes both and reads it:
    migrations.AddField("order", "it_new", models.IntegerField(null=True)),
    migrations.RunPython(copy, migrations.RunPython.noop),
Release 2: the code uses only it_new:
    ${optional}
    ${removal}`,
  ],
  [
    'NULL is forbidden',
    { kind: 'AlterField', ...field({ null: true }, {}) },
    `Release 1: the code no longer writes NULL to it, and fills the rows that have it:
    Model.objects.filter(it__isnull=True).update(it=…)  # in a RunPython
${approved}`,
  ],
  [
    'a value only once',
    { kind: 'AlterField', ...field({}, { unique: true }) },
    `Release 1: the code no longer writes rows with the same it, and existing ones are corrected
${approved}`,
  ],
  [
    'a positive number',
    { kind: 'AlterField', ...field({}, { check: '"it" >= 0' }) },
    `Release 1: the code no longer writes rows that the check refuses, and existing ones are corrected
${approved}`,
  ],
  [
    'the default of the database goes',
    {
      kind: 'AlterField',
      ...field({ db_default: true, db_default_code: '3', code: 'models.IntegerField(db_default=3)' }, {}),
    },
    `Release 1: the code sets it itself, and the database keeps its default:
    it = models.IntegerField(db_default=3, default=3)  # in the model
Release 2: this migration`,
  ],
  [
    'a foreign key that was not enforced',
    {
      kind: 'AlterField',
      ...field(
        {
          relation: {
            to: 'shop.tag',
            table: 'shop_tag',
            exists: true,
            links: null,
            constraint: false,
            on_delete: 'CASCADE',
          },
        },
        {
          relation: {
            to: 'shop.tag',
            table: 'shop_tag',
            exists: true,
            links: null,
            constraint: true,
            on_delete: 'CASCADE',
          },
        },
      ),
    },
    `Release 1: change the code so that it works before and after this migration\n${approved}`,
  ],
  [
    'a model is removed',
    { kind: 'DeleteModel', model: 'Order' },
    `Release 1: remove the model from the code, and keep its table:
    migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Order")]),
Release 2: remove the table:
    migrations.RunSQL('DROP TABLE "shop_order"', migrations.RunSQL.noop),`,
  ],
  [
    'a model that points to others is removed',
    {
      kind: 'DeleteModel',
      model: 'Order',
      relations: [
        pointing({ name: 'customer', code: "models.ForeignKey(to='shop.customer')" }),
        pointing(
          { name: 'tags', code: "models.ManyToManyField(to='shop.tag')", column: null },
          { links: 'shop_order_tags' },
        ),
        pointing({ name: 'visit', code: 'models.ForeignKey(…)' }, { constraint: false }),
        pointing({ name: 'through', code: 'models.ManyToManyField(…)', column: null }),
      ],
    },
    `Release 1: remove the model from the code, and keep its table:
    migrations.AlterField("Order", "customer", models.ForeignKey(to='shop.customer', db_constraint=False)),
    migrations.AlterField("Order", "tags", models.ManyToManyField(to='shop.tag', db_constraint=False)),
    migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Order")]),
Release 2: remove the table:
    migrations.RunSQL('DROP TABLE "shop_order_tags"', migrations.RunSQL.noop),
    migrations.RunSQL('DROP TABLE "shop_order"', migrations.RunSQL.noop),`,
  ],
  [
    'a model is removed, on MariaDB',
    { kind: 'DeleteModel', model: 'Order' },
    `Release 1: remove the model from the code, and keep its table:
    migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Order")]),
Release 2: remove the table:
    migrations.RunSQL('DROP TABLE \`shop_order\`', migrations.RunSQL.noop),`,
    'mysql',
  ],
  [
    'a model is renamed',
    {
      kind: 'RenameModel',
      model: 'Order',
      table: { name: 'shop_order', after: 'shop_sale', known: true, exists: true, rows: 3, bytes: 8192 },
    },
    `In one release: rename the model only in Python, with the old name of its table in \`class Meta\`:
    db_table = "shop_order"  # in class Meta of the renamed model
    migrations.AlterModelTable("Order", "shop_order"),  # before the RenameModel`,
  ],
  [
    'a table is renamed',
    {
      kind: 'AlterModelTable',
      table: { name: 'shop_order', after: 'sales', known: true, exists: true, rows: 3, bytes: 8192 },
    },
    `In one release: keep the name of the table:
    db_table = "shop_order"  # in class Meta`,
  ],
  [
    'a constraint',
    {
      kind: 'AddConstraint',
      constraint: {
        type: 'CheckConstraint',
        name: 'positive',
        code: null,
        columns: null,
        indexed: false,
        nulls_distinct: true,
      },
    },
    `Release 1: the code no longer writes rows that the constraint refuses, and existing ones are corrected\n${approved}`,
  ],
  [
    'an operation that nobody knows',
    { kind: 'shop.Own' },
    `Release 1: change the code so that it works before and after this migration\n${approved}`,
  ],
  [
    'the worst part of several',
    {
      kind: 'SeparateDatabaseAndState',
      nested: [operation({ kind: 'RemoveField', model: 'order', ...field({ null: true }, null) })],
    },
    `Release 1: remove it from the code and the model, and keep its column:
    ${removal}
Release 2: remove the column:
    ${adding(number)}
    migrations.RemoveField("order", "it"),`,
  ],
  [
    'Python without a reverse',
    { kind: 'RunPython', reverse: 'none' },
    `Give it a reverse, so that a failed deploy can go back: a function, or \`noop\` if nothing has to be undone:
    migrations.RunPython(forwards, reverse_code=migrations.RunPython.noop)`,
  ],
  ['Python with a reverse', { kind: 'RunPython', reverse: 'given' }, undefined],
  [
    'SQL without a reverse',
    { kind: 'RunSQL', reverse: 'none', sql: { statements: ['CREATE TABLE a (b int)'], tables: [] } },
    `Give it a reverse, so that a failed deploy can go back: SQL, or \`noop\` if nothing has to be undone:
    migrations.RunSQL(sql, reverse_sql=migrations.RunSQL.noop)`,
  ],
  [
    'an index that is built while nobody writes',
    { kind: 'AddIndex', index: "models.Index(fields=['it'], name='by_it')" },
    `Without stopping writes: build it concurrently, in a migration of its own:
    atomic = False  # in class Migration; from django.contrib.postgres.operations import AddIndexConcurrently
    AddIndexConcurrently("order", models.Index(fields=['it'], name='by_it')),`,
  ],
  ['an index elsewhere', { kind: 'AddIndex', index: 'x' }, undefined, 'sqlite'],
])('%s', (_, facts, expected, vendor = 'postgresql') => expect(recipeOf(facts, vendor)).toBe(expected))
