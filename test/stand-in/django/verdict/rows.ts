import type { Part, Reverses } from '../../../../src/django/verdict/verdict.ts'

/** A migration with its verdict. In Python, APP stands for the label of the row's app. */
export type Row = {
  title: string
  /** The operations that make the old models. */
  old: string[]
  /** The operations that are judged. */
  new: string[]
  breaks: Part[]
  reverses: Reverses
  /** The strongest lock of a table that was there, and what is done under it: `ACCESS EXCLUSIVE rewrite`. */
  locks?: Readonly<Record<string, string>>
  /** The verdict says that it cannot know. */
  unknown?: boolean
  /** The observed effect may be smaller than the verdict, if the verdict cannot know it or Django's versions differ. */
  atMost?: boolean
  /** What happens as well and does not count: a new link keeps the old code from deleting what the new code links to. */
  besides?: Part[]
  atomic?: false
  /** Values of the two rows that are there before, by field. */
  values?: Readonly<Record<string, readonly [unknown, unknown]>>
  /** Fields that the old code leaves to the database. */
  leaves?: readonly string[]
  /** No row has NULL. */
  nulls?: false
  /** Differences on SQLite, which does not convert values; null if SQLite does not support the operation. */
  sqlite?: Partial<Pick<Row, 'breaks' | 'reverses' | 'atMost' | 'unknown'>> | null
  /** Differences on MariaDB. */
  mariadb?: Partial<Pick<Row, 'breaks' | 'reverses' | 'atMost' | 'unknown'>> | null
  /** The oldest Django that has it. */
  since?: string
  /** SQL after the rows were made. */
  setUp?: string
  /** Instead of `old` and `new`: several migrations as Python, each without its dependencies. */
  written?: {
    old: readonly string[]
    new: readonly string[]
    /** models.py. */
    serving: string
    /** Parts of models.py as they are after the new migrations. */
    models: readonly string[]
    /** The old code writes only what the new models accept. */
    isCareful: boolean
  }
}

/** Changes of type are known on PostgreSQL alone: elsewhere the verdict is the cautious one. */
const UNKNOWN_TYPE: NonNullable<Row['mariadb']> = {
  breaks: ['read', 'insert', 'update'],
  reverses: 'loses',
  unknown: true,
  atMost: true,
}

function model(name: string, fields: Readonly<Record<string, string>> = {}, options = '{}'): string {
  const listed = Object.entries(fields).map(([field, code]) => `("${field}", ${code})`)
  return `migrations.CreateModel("${name}", [("id", models.BigAutoField(primary_key=True)), ${listed.join(', ')}], options=${options})`
}

const text = 'models.CharField(max_length=20)'
const item = (fields: Readonly<Record<string, string>> = {}, options?: string): string[] => [
  model('Item', { name: text, ...fields }, options),
]
const pair = (field: string): string[] => [model('Other', { name: text }), model('Item', { name: text, other: field })]

const addField = (code: string): string[] => [`migrations.AddField("item", "new", ${code})`]
const alter = (code: string, name = 'it'): string[] => [`migrations.AlterField("item", "${name}", ${code})`]
const altered = (
  title: string,
  before: string,
  after: string,
  rest: Pick<Row, 'breaks' | 'reverses'> & Partial<Row>,
): Row => ({
  title: `AlterField: ${title}`,
  old: item({ it: `models.${before}` }),
  new: alter(`models.${after}`),
  ...rest,
})
const sql = (
  title: string,
  forwards: string,
  backwards: string | null,
  rest: Pick<Row, 'breaks' | 'reverses'> & Partial<Row>,
): Row => ({
  title: `RunSQL: ${title}`,
  old: item({ it: 'models.IntegerField(null=True)' }),
  new: [`migrations.RunSQL(${JSON.stringify(forwards)}${backwards === null ? '' : `, ${JSON.stringify(backwards)}`})`],
  ...rest,
})

const lives = (more: Partial<Row> = {}): Pick<Row, 'breaks' | 'reverses'> & Partial<Row> => ({
  breaks: [],
  reverses: 'fully',
  ...more,
})
const breaks = (parts: Part[], more: Partial<Row> = {}): Pick<Row, 'breaks' | 'reverses'> & Partial<Row> => ({
  breaks: parts,
  reverses: 'fully',
  ...more,
})
const AEL = 'ACCESS EXCLUSIVE'
const everything: Part[] = ['read', 'insert', 'update', 'delete']

/** Every operation of Django and of django.contrib.postgres, on tables with rows. */
export const rows: readonly Row[] = [
  // Models
  { title: 'CreateModel', old: item(), new: [model('New', { name: text })], ...lives() },
  {
    title: 'CreateModel with a foreign key and links to a table that is there',
    old: item(),
    new: [
      model('New', {
        item: 'models.ForeignKey("APP.Item", models.CASCADE)',
        items: 'models.ManyToManyField("APP.Item", related_name="+")',
      }),
    ],
    ...lives({ locks: { item: 'SHARE ROW EXCLUSIVE none' } }),
  },
  {
    title: 'DeleteModel',
    old: item(),
    new: ['migrations.DeleteModel("Item")'],
    breaks: everything,
    reverses: 'loses',
    locks: { item: `${AEL} none` },
  },
  {
    title: 'DeleteModel with a foreign key',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE)'),
    new: ['migrations.DeleteModel("Item")'],
    breaks: everything,
    reverses: 'loses',
    locks: { item: `${AEL} none`, other: `${AEL} none` },
  },
  {
    title: 'RenameModel',
    old: item(),
    new: ['migrations.RenameModel("Item", "Thing")'],
    ...breaks(everything, { locks: { item: `${AEL} none` } }),
  },
  {
    title: 'RenameModel with its table pinned',
    old: item({}, '{"db_table": "APP_item"}'),
    new: ['migrations.RenameModel("Item", "Thing")'],
    ...lives({ locks: {} }),
  },
  {
    title: 'RenameModel with its table pinned, and links whose columns have its name',
    old: [
      model('Other', { name: text }),
      model('Item', { name: text, others: 'models.ManyToManyField("APP.Other")' }, '{"db_table": "APP_item"}'),
    ],
    new: ['migrations.RenameModel("Item", "Thing")'],
    ...breaks(['read', 'insert', 'delete']),
  },
  {
    title: 'AlterModelTable',
    old: item(),
    new: ['migrations.AlterModelTable("item", "APP_other")'],
    ...breaks(everything, { locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AlterModelTable to the name that it has',
    old: item(),
    new: ['migrations.AlterModelTable("item", "APP_item")'],
    ...lives({ locks: {} }),
  },
  {
    title: 'AlterModelTableComment',
    old: item(),
    new: ['migrations.AlterModelTableComment("item", "things")'],
    since: '4.2',
    ...lives({ locks: { item: 'SHARE UPDATE EXCLUSIVE none' } }),
  },
  {
    title: 'AlterModelOptions',
    old: item(),
    new: ['migrations.AlterModelOptions("item", {"ordering": ["name"]})'],
    ...lives({ locks: {} }),
  },
  {
    title: 'AlterModelManagers',
    old: item(),
    new: ['migrations.AlterModelManagers("item", [("all", models.Manager())])'],
    ...lives({ locks: {} }),
  },
  {
    title: 'AlterUniqueTogether, more',
    old: item({ it: text }),
    new: ['migrations.AlterUniqueTogether("item", {("name", "it")})'],
    ...breaks(['insert', 'update'], { locks: { item: `${AEL} index` } }),
  },
  {
    title: 'AlterUniqueTogether, less',
    old: item({ it: text }, '{"unique_together": {("name", "it")}}'),
    new: ['migrations.AlterUniqueTogether("item", set())'],
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AlterUniqueTogether with a new column that may be NULL',
    old: item(),
    new: [...addField('models.IntegerField(null=True)'), 'migrations.AlterUniqueTogether("item", {("name", "new")})'],
    ...lives(),
  },
  {
    title: 'AlterOrderWithRespectTo',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE)'),
    new: ['migrations.AlterOrderWithRespectTo("item", "other")'],
    ...breaks(['insert'], { locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AlterOrderWithRespectTo, no more',
    old: [
      ...pair('models.ForeignKey("APP.Other", models.CASCADE)'),
      'migrations.AlterOrderWithRespectTo("item", "other")',
    ],
    new: ['migrations.AlterOrderWithRespectTo("item", None)'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
    values: { other: [1, 1] },
  },

  // Fields that are added
  {
    title: 'AddField that may be NULL',
    old: item(),
    new: addField('models.IntegerField(null=True)'),
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AddField that may be NULL, with a default in Python',
    old: item(),
    new: addField('models.IntegerField(null=True, default=7)'),
    ...lives(),
  },
  {
    title: 'AddField with a default in Python',
    old: item(),
    new: addField('models.IntegerField(default=7)'),
    ...breaks(['insert'], { locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AddField with a default for this once',
    old: item(),
    new: ['migrations.AddField("item", "new", models.IntegerField(default=7), preserve_default=False)'],
    ...breaks(['insert']),
  },
  {
    title: 'AddField of a text that may be blank',
    old: item(),
    new: addField('models.CharField(max_length=20, blank=True)'),
    ...breaks(['insert']),
  },
  {
    title: 'AddField with a default in the database',
    old: item(),
    new: addField('models.IntegerField(db_default=7)'),
    since: '5.0',
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AddField with both defaults',
    old: item(),
    new: addField('models.IntegerField(default=7, db_default=7)'),
    since: '5.0',
    ...lives(),
  },
  {
    title: 'AddField with Now() as default in the database',
    old: item(),
    new: addField('models.DateTimeField(db_default=models.functions.Now())'),
    since: '5.0',
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AddField with a random default in the database',
    old: item(),
    new: addField('models.FloatField(db_default=models.functions.Random())'),
    since: '5.0',
    ...lives({ locks: { item: `${AEL} rewrite` } }),
  },
  {
    title: 'AddField unique that may be NULL',
    old: item(),
    new: addField('models.IntegerField(null=True, unique=True)'),
    ...lives({ locks: { item: `${AEL} index` } }),
  },
  {
    title: 'AddField of a foreign key that may be NULL',
    old: [model('Other'), ...item()],
    new: addField('models.ForeignKey("APP.Other", models.CASCADE, null=True)'),
    ...lives({ locks: { item: `${AEL} index`, other: 'SHARE ROW EXCLUSIVE none' } }),
  },
  {
    title: 'AddField of a foreign key that must not be NULL',
    old: [model('Other'), ...item()],
    new: addField('models.ForeignKey("APP.Other", models.CASCADE, default=1)'),
    ...breaks(['insert'], { besides: ['delete'] }),
  },
  {
    title: 'AddField of links',
    old: [model('Other'), ...item()],
    new: addField('models.ManyToManyField("APP.Other")'),
    ...lives({ locks: { item: 'SHARE ROW EXCLUSIVE none', other: 'SHARE ROW EXCLUSIVE none' } }),
  },
  {
    title: 'AddField of links through a model',
    old: [
      model('Other'),
      ...item(),
      model('Link', {
        item: 'models.ForeignKey("APP.Item", models.CASCADE)',
        other: 'models.ForeignKey("APP.Other", models.CASCADE)',
      }),
    ],
    new: addField('models.ManyToManyField("APP.Other", through="APP.Link")'),
    ...lives({ locks: {} }),
  },
  {
    title: 'AddField of a generated column',
    old: item({ it: 'models.IntegerField()' }),
    new: addField(
      'models.GeneratedField(expression=models.functions.Upper("name"), output_field=models.CharField(max_length=20), db_persist=True)',
    ),
    since: '5.0',
    ...lives({ locks: { item: `${AEL} rewrite` } }),
  },
  {
    title: 'AddField and its default in the database by SQL, as before Django 5.0',
    old: item(),
    new: [
      ...addField('models.IntegerField(default=7)'),
      'migrations.RunSQL("ALTER TABLE APP_item ALTER COLUMN new SET DEFAULT 7", migrations.RunSQL.noop)',
    ],
    ...lives(),
  },
  {
    title: 'AddField to a table of the same migration',
    old: item(),
    new: [
      model('New'),
      'migrations.AddField("new", "it", models.IntegerField(default=7))',
      'migrations.RunSQL("ALTER TABLE APP_new ADD COLUMN more integer NOT NULL", "ALTER TABLE APP_new DROP COLUMN more")',
    ],
    ...lives({ locks: {} }),
  },

  // Fields that are removed or renamed
  {
    title: 'RemoveField that may be NULL',
    old: item({ it: 'models.IntegerField(null=True)' }),
    new: ['migrations.RemoveField("item", "it")'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
    locks: { item: `${AEL} none` },
  },
  {
    title: 'RemoveField without any default',
    old: item({ it: 'models.IntegerField()' }),
    new: ['migrations.RemoveField("item", "it")'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'fails',
    mariadb: { atMost: true },
  },
  {
    title: 'RemoveField with a default',
    old: item({ it: 'models.IntegerField(default=7)' }),
    new: ['migrations.RemoveField("item", "it")'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
  },
  {
    title: 'RemoveField with a default in the database',
    old: item({ it: 'models.IntegerField(db_default=7)' }),
    new: ['migrations.RemoveField("item", "it")'],
    since: '5.0',
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
  },
  {
    title: 'RemoveField of a text that may be blank',
    old: item({ it: 'models.CharField(max_length=20, blank=True)' }),
    new: ['migrations.RemoveField("item", "it")'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
  },
  {
    title: 'RemoveField of a date that Django sets',
    old: item({ it: 'models.DateTimeField(auto_now_add=True)' }),
    new: ['migrations.RemoveField("item", "it")'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
  },
  {
    title: 'RemoveField of a foreign key',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE, null=True)'),
    new: ['migrations.RemoveField("item", "other")'],
    breaks: everything,
    reverses: 'loses',
    locks: { item: `${AEL} none`, other: `${AEL} none` },
  },
  {
    title: 'RemoveField of links',
    old: pair('models.ManyToManyField("APP.Other")'),
    new: ['migrations.RemoveField("item", "other")'],
    breaks: ['read', 'insert', 'delete'],
    reverses: 'loses',
    locks: { item: `${AEL} none`, other: `${AEL} none`, item_other: `${AEL} none` },
  },
  {
    title: 'RemoveField of a generated column',
    old: item({
      it: 'models.IntegerField()',
      twice:
        'models.GeneratedField(expression=models.functions.Upper("name"), output_field=models.CharField(max_length=20), db_persist=True)',
    }),
    new: ['migrations.RemoveField("item", "twice")'],
    since: '5.0',
    ...breaks(['read', 'insert', 'update'], { atMost: true }),
  },
  {
    title: 'RemoveField of what the same plan has added',
    old: item(),
    new: [...addField('models.IntegerField(null=True)'), 'migrations.RemoveField("item", "new")'],
    ...lives(),
  },
  {
    title: 'NULL first, then RemoveField',
    old: item({ it: 'models.IntegerField()' }),
    new: [...alter('models.IntegerField(null=True)'), 'migrations.RemoveField("item", "it")'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'fails',
  },
  {
    title: 'RenameField',
    old: item({ it: 'models.IntegerField()' }),
    new: ['migrations.RenameField("item", "it", "that")'],
    ...breaks(['read', 'insert', 'update'], { locks: { item: `${AEL} none` } }),
  },
  {
    title: 'RenameField with its column pinned',
    old: item({ it: 'models.IntegerField(db_column="it")' }),
    new: ['migrations.RenameField("item", "it", "that")'],
    ...lives({ locks: {} }),
  },
  {
    title: 'RenameField of a foreign key',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE)'),
    new: ['migrations.RenameField("item", "other", "that")'],
    ...breaks(everything),
  },
  {
    title: 'RenameField of links',
    since: '3.2',
    old: pair('models.ManyToManyField("APP.Other")'),
    new: ['migrations.RenameField("item", "other", "that")'],
    ...breaks(['read', 'insert', 'delete']),
  },
  {
    title: 'RenameField of what the same plan has added',
    old: item(),
    new: [...addField('models.IntegerField(null=True)'), 'migrations.RenameField("item", "new", "newer")'],
    ...lives(),
  },

  // Fields that are altered
  altered(
    'what only Python sees',
    'CharField(max_length=20)',
    'CharField(max_length=20, choices=[("a", "A")], help_text="x", default="a", blank=True)',
    lives({ locks: {} }),
  ),
  altered('longer', 'CharField(max_length=20)', 'CharField(max_length=40)', lives({ locks: { item: `${AEL} none` } })),
  altered(
    'shorter',
    'CharField(max_length=20)',
    'CharField(max_length=10)',
    breaks(['insert', 'update'], { sqlite: { breaks: [] }, locks: { item: `${AEL} rewrite` } }),
  ),
  altered(
    'CharField to TextField',
    'CharField(max_length=20)',
    'TextField()',
    lives({ locks: { item: `${AEL} none` } }),
  ),
  altered('TextField to CharField', 'TextField()', 'CharField(max_length=20)', {
    sqlite: { breaks: [], reverses: 'fully' },
    breaks: ['insert', 'update'],
    reverses: 'loses',
    values: { it: ['x'.repeat(50), 'short'] },
    mariadb: null, // it refuses the rows that are there
    locks: { item: `${AEL} rewrite` },
  }),
  altered('SlugField to a shorter CharField', 'SlugField(max_length=50, db_index=False)', 'CharField(max_length=20)', {
    sqlite: { breaks: [], reverses: 'fully' },
    breaks: ['insert', 'update'],
    since: '4.2',
    reverses: 'loses',
    values: { it: ['x'.repeat(40), 'short'] },
    mariadb: null,
  }),
  altered('integer to bigint', 'IntegerField()', 'BigIntegerField()', lives({ locks: { item: `${AEL} rewrite` } })),
  altered(
    'bigint to integer',
    'BigIntegerField()',
    'IntegerField()',
    breaks(['insert', 'update'], { sqlite: { breaks: [] } }),
  ),
  altered(
    'more digits',
    'DecimalField(max_digits=6, decimal_places=2)',
    'DecimalField(max_digits=8, decimal_places=2)',
    lives({ locks: { item: `${AEL} none` } }),
  ),
  altered(
    'fewer digits',
    'DecimalField(max_digits=8, decimal_places=2)',
    'DecimalField(max_digits=6, decimal_places=2)',
    breaks(['insert', 'update'], { sqlite: { breaks: [] } }),
  ),
  altered(
    'fewer decimal places',
    'DecimalField(max_digits=8, decimal_places=3)',
    'DecimalField(max_digits=8, decimal_places=2)',
    {
      sqlite: { breaks: [], reverses: 'fully' },
      breaks: ['insert', 'update'],
      reverses: 'loses',
      values: { it: ['1.234', '2.5'] },
      atMost: true,
    },
  ),
  altered(
    'integer to text',
    'IntegerField()',
    'TextField()',
    breaks(['read'], { mariadb: UNKNOWN_TYPE, locks: { item: `${AEL} rewrite` } }),
  ),
  altered(
    'integer to a short text',
    'IntegerField()',
    'CharField(max_length=5)',
    breaks(['read', 'insert', 'update'], { sqlite: { breaks: ['read'] }, mariadb: UNKNOWN_TYPE }),
  ),
  altered(
    'integer to decimal',
    'IntegerField()',
    'DecimalField(max_digits=12, decimal_places=2)',
    breaks(['read'], { sqlite: { breaks: ['read'], atMost: true }, mariadb: UNKNOWN_TYPE }),
  ),
  altered('integer to float', 'IntegerField()', 'FloatField()', breaks(['read'], { mariadb: UNKNOWN_TYPE })),
  altered(
    'decimal to float',
    'DecimalField(max_digits=8, decimal_places=2)',
    'FloatField()',
    breaks(['read'], { sqlite: { breaks: ['read'], atMost: true }, mariadb: UNKNOWN_TYPE }),
  ),
  altered('date to datetime', 'DateField()', 'DateTimeField()', breaks(['read'], { mariadb: UNKNOWN_TYPE })),
  altered('datetime to date', 'DateTimeField()', 'DateField()', {
    sqlite: { reverses: 'fully', atMost: true },
    mariadb: UNKNOWN_TYPE,
    breaks: ['read'],
    reverses: 'loses',
  }),
  altered(
    'uuid to text',
    'UUIDField()',
    'CharField(max_length=36)',
    breaks(['read'], { sqlite: { breaks: [] }, mariadb: UNKNOWN_TYPE }),
  ),
  altered(
    'boolean to integer',
    'BooleanField()',
    'IntegerField()',
    breaks(['read', 'insert', 'update'], { sqlite: { breaks: ['read'], atMost: true }, mariadb: UNKNOWN_TYPE }),
  ),
  altered('text to integer', 'CharField(max_length=20)', 'IntegerField()', {
    sqlite: { breaks: ['read'], unknown: false },
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
    values: { it: ['007', '8'] },
    unknown: true,
    atMost: true,
  }),
  altered('text to JSON', 'TextField()', 'JSONField()', {
    sqlite: { breaks: ['insert', 'update'], reverses: 'fully', unknown: false },
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
    values: { it: ['{"b":1,  "a":2}', '[]'] },
    unknown: true,
    atMost: true,
    since: '3.1',
  }),
  altered('NULL to NOT NULL with a default', 'IntegerField(null=True)', 'IntegerField(default=7)', {
    breaks: ['insert', 'update'],
    reverses: 'loses',
    locks: { item: `${AEL} scan` },
  }),
  {
    ...altered('NULL to NOT NULL with a default for this once', 'IntegerField(null=True)', '', {
      breaks: ['insert', 'update'],
      reverses: 'loses',
    }),
    new: ['migrations.AlterField("item", "it", models.IntegerField(default=7), preserve_default=False)'],
  },
  altered(
    'NULL to NOT NULL without a default',
    'IntegerField(null=True)',
    'IntegerField()',
    breaks(['insert', 'update'], { nulls: false }),
  ),
  altered('NULL to NOT NULL with a default in the database', 'IntegerField(null=True)', 'IntegerField(db_default=7)', {
    breaks: ['insert', 'update'],
    reverses: 'loses',
    since: '5.0',
  }),
  altered('NOT NULL to NULL', 'IntegerField()', 'IntegerField(null=True)', lives({ locks: { item: `${AEL} none` } })),
  altered(
    'unique',
    'CharField(max_length=20)',
    'CharField(max_length=20, unique=True)',
    breaks(['insert', 'update'], { locks: { item: `${AEL} index` } }),
  ),
  altered(
    'no longer unique',
    'CharField(max_length=20, unique=True)',
    'CharField(max_length=20)',
    lives({ locks: { item: `${AEL} none` } }),
  ),
  altered('an index', 'IntegerField()', 'IntegerField(db_index=True)', lives({ locks: { item: 'SHARE index' } })),
  altered('no index', 'IntegerField(db_index=True)', 'IntegerField()', lives({ locks: { item: `${AEL} none` } })),
  altered('a default in the database', 'IntegerField()', 'IntegerField(db_default=7)', lives({ since: '5.0' })),
  altered(
    'no default in the database',
    'IntegerField(db_default=7)',
    'IntegerField()',
    breaks(['insert'], { sqlite: { atMost: true }, since: '5.0', leaves: ['it'] }),
  ),
  altered(
    'no default in the database, and one in Python before',
    'IntegerField(default=6, db_default=7)',
    'IntegerField(default=6)',
    lives({ since: '5.0', leaves: ['it'] }),
  ),
  altered(
    'no default in the database of what may be NULL',
    'IntegerField(null=True, db_default=7)',
    'IntegerField(null=True)',
    lives({ since: '5.0', leaves: ['it'] }),
  ),
  altered(
    'another default in the database',
    'IntegerField(db_default=7)',
    'IntegerField(db_default=8)',
    lives({ since: '5.0', leaves: ['it'] }),
  ),
  altered(
    'only positive',
    'IntegerField()',
    'PositiveIntegerField()',
    breaks(['insert', 'update'], { locks: { item: `${AEL} scan` } }),
  ),
  altered(
    'negative as well',
    'PositiveIntegerField()',
    'IntegerField()',
    // Without a sign there are larger numbers.
    lives({ mariadb: { breaks: ['insert', 'update'], atMost: true }, locks: { item: `${AEL} none` } }),
  ),
  altered('a comment', 'IntegerField()', 'IntegerField(db_comment="x")', lives({ since: '4.2' })),
  altered(
    'a collation',
    'CharField(max_length=20)',
    'CharField(max_length=20, db_collation="C")',
    lives({ sqlite: null, mariadb: null, since: '3.2' }),
  ),
  altered('another column', 'IntegerField()', 'IntegerField(db_column="that")', breaks(['read', 'insert', 'update'])),
  {
    title: 'AlterField: the primary key to bigint',
    old: [
      'migrations.CreateModel("Item", [("id", models.AutoField(primary_key=True)), ("name", models.CharField(max_length=20))])',
      model('Other', { item: 'models.ForeignKey("APP.Item", models.CASCADE)' }),
    ],
    new: ['migrations.AlterField("item", "id", models.BigAutoField(primary_key=True))'],
    ...lives(),
  },
  {
    title: 'AlterField: a primary key that the database no longer makes',
    since: '4.1',
    old: item(),
    new: ['migrations.AlterField("item", "id", models.BigIntegerField(primary_key=True))'],
    ...breaks(['insert']),
  },
  {
    title: 'AlterField: a number becomes a foreign key',
    old: [model('Other'), ...item({ other: 'models.BigIntegerField(db_column="other_id")' })],
    new: alter('models.ForeignKey("APP.Other", models.CASCADE)', 'other'),
    values: { other: [1, 2] },
    ...breaks(['insert', 'update', 'delete'], {}),
  },
  {
    title: 'AlterField: a foreign key is enforced',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE, db_constraint=False)'),
    new: alter('models.ForeignKey("APP.Other", models.CASCADE)', 'other'),
    ...breaks(['insert', 'update'], {}),
  },
  {
    title: 'AlterField: a foreign key is no longer enforced',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE)'),
    new: alter('models.ForeignKey("APP.Other", models.CASCADE, db_constraint=False)', 'other'),
    ...lives(),
  },
  {
    title: 'AlterField: a foreign key to another table',
    old: [model('Third'), ...pair('models.ForeignKey("APP.Other", models.CASCADE)')],
    new: alter('models.ForeignKey("APP.Third", models.CASCADE)', 'other'),
    ...breaks(['insert', 'update', 'delete']),
  },
  {
    title: 'AlterField: a foreign key may be NULL',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE)'),
    new: alter('models.ForeignKey("APP.Other", models.CASCADE, null=True)', 'other'),
    ...lives({ locks: { item: `${AEL} scan`, other: `${AEL} none` } }),
  },
  {
    title: 'AlterField: on_delete',
    since: '3.2',
    old: pair('models.ForeignKey("APP.Other", models.CASCADE)'),
    new: alter('models.ForeignKey("APP.Other", models.PROTECT)', 'other'),
    ...lives({ locks: {} }),
  },
  {
    title: 'AlterField: links to the same model',
    since: '3.2',
    old: pair('models.ManyToManyField("APP.Other")'),
    new: alter('models.ManyToManyField("APP.Other", blank=True)', 'other'),
    ...lives({ locks: {} }),
  },
  {
    title: 'AddField that may be NULL, then NOT NULL with a default',
    old: item(),
    new: [...addField('models.IntegerField(null=True)'), ...alter('models.IntegerField(default=7)', 'new')],
    ...breaks(['insert']),
  },
  {
    title: 'AddField with a default in the database, which the next operation drops',
    old: item(),
    new: [...addField('models.IntegerField(db_default=7)'), ...alter('models.IntegerField(default=7)', 'new')],
    since: '5.0',
    ...breaks(['insert']),
  },

  // Fields of django.contrib.postgres
  {
    title: 'AddField of an array with a default in Python',
    old: item(),
    new: addField('ArrayField(models.IntegerField(), default=list)'),
    ...breaks(['insert'], { locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AlterField: an array of larger numbers',
    old: item({ it: 'ArrayField(models.IntegerField())' }),
    new: alter('ArrayField(models.BigIntegerField())'),
    ...lives({ locks: { item: `${AEL} rewrite` } }),
  },
  {
    title: 'AlterField: an array of smaller numbers',
    old: item({ it: 'ArrayField(models.BigIntegerField())' }),
    new: alter('ArrayField(models.IntegerField())'),
    ...breaks(['insert', 'update'], { locks: { item: `${AEL} rewrite` } }),
  },
  {
    title: 'AlterField: an array of longer texts',
    old: item({ it: 'ArrayField(models.CharField(max_length=20))' }),
    new: alter('ArrayField(models.CharField(max_length=40))'),
    ...lives({ locks: { item: `${AEL} rewrite` } }),
  },
  {
    title: 'AlterField: an array of shorter texts',
    old: item({ it: 'ArrayField(models.CharField(max_length=40))' }),
    new: alter('ArrayField(models.CharField(max_length=20))'),
    ...breaks(['insert', 'update'], { locks: { item: `${AEL} rewrite` } }),
  },
  {
    title: 'AlterField: an array of another size',
    old: item({ it: 'ArrayField(models.IntegerField(), size=3)' }),
    new: alter('ArrayField(models.IntegerField(), size=4)'),
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AlterField: an array of more digits',
    old: item({ it: 'ArrayField(models.DecimalField(max_digits=6, decimal_places=2))' }),
    new: alter('ArrayField(models.DecimalField(max_digits=8, decimal_places=2))'),
    ...lives({ locks: { item: `${AEL} rewrite` } }),
  },
  // PostgreSQL casts no number to an array, and no range to another kind of range.
  ...['ArrayField(models.IntegerField())', 'IntegerRangeField()'].map((code): Row => ({
    title: `AlterField: ${code} to text`,
    old: item({ it: code }),
    new: alter('models.TextField()'),
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
    unknown: true,
    atMost: true,
  })),
  {
    title: 'AddField of a SearchVectorField that may be NULL, and its index',
    old: item(),
    new: [
      ...addField('SearchVectorField(null=True)'),
      'migrations.AddIndex("item", GinIndex(fields=["new"], name="APP_new"))',
    ],
    ...lives({ locks: { item: `${AEL} index` } }),
  },
  {
    title: 'RemoveField of a SearchVectorField',
    old: item({ it: 'SearchVectorField(null=True)' }),
    new: ['migrations.RemoveField("item", "it")'],
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
    locks: { item: `${AEL} none` },
  },
  {
    title: 'AlterField: text to a SearchVectorField',
    old: item({ it: 'models.TextField()' }),
    new: alter('SearchVectorField()'),
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
    unknown: true,
    atMost: true,
  },

  // Indexes and constraints
  {
    title: 'AlterIndexTogether, more',
    old: item({ it: text }),
    new: ['migrations.AlterIndexTogether("item", {("name", "it")})'],
    ...lives({ locks: { item: 'SHARE index' } }),
  },
  {
    title: 'AlterIndexTogether, less',
    old: [...item({ it: text }), 'migrations.AlterIndexTogether("item", {("name", "it")})'],
    new: ['migrations.AlterIndexTogether("item", set())'],
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AddIndex',
    old: item(),
    new: ['migrations.AddIndex("item", models.Index(fields=["name"], name="APP_name"))'],
    ...lives({ locks: { item: 'SHARE index' } }),
  },
  {
    title: 'RemoveIndex',
    old: item({}, '{"indexes": [models.Index(fields=["name"], name="APP_name")]}'),
    new: ['migrations.RemoveIndex("item", "APP_name")'],
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'RenameIndex',
    old: item({}, '{"indexes": [models.Index(fields=["name"], name="APP_name")]}'),
    new: ['migrations.RenameIndex("item", new_name="APP_new", old_name="APP_name")'],
    since: '4.1',
    ...lives({ locks: {} }),
  },
  {
    title: 'AddIndexConcurrently',
    old: item(),
    new: ['AddIndexConcurrently("item", models.Index(fields=["name"], name="APP_name"))'],
    atomic: false,
    since: '3.0',
    ...lives(),
  },
  {
    title: 'RemoveIndexConcurrently',
    old: item({}, '{"indexes": [models.Index(fields=["name"], name="APP_name")]}'),
    new: ['RemoveIndexConcurrently("item", "APP_name")'],
    atomic: false,
    since: '3.0',
    ...lives(),
  },
  {
    title: 'AddConstraint: unique',
    old: item(),
    new: ['migrations.AddConstraint("item", models.UniqueConstraint(fields=["name"], name="APP_one"))'],
    ...breaks(['insert', 'update'], { locks: { item: `${AEL} index` } }),
  },
  {
    title: 'AddConstraint: unique under a condition',
    old: item(),
    new: [
      'migrations.AddConstraint("item", models.UniqueConstraint(fields=["name"], condition=models.Q(id__gt=0), name="APP_one"))',
    ],
    // MariaDB has no such index, so Django makes none.
    ...breaks(['insert', 'update'], { mariadb: { atMost: true }, locks: { item: 'SHARE index' } }),
  },
  {
    title: 'AddConstraint: unique with a new column that may be NULL',
    old: item(),
    new: [
      ...addField('models.IntegerField(null=True)'),
      'migrations.AddConstraint("item", models.UniqueConstraint(fields=["name", "new"], name="APP_one"))',
    ],
    ...lives(),
  },
  {
    title: 'AddConstraint: unique with a new column that may be NULL, and NULL counts',
    old: item(),
    new: [
      ...addField('models.IntegerField(null=True)'),
      'migrations.AddConstraint("item", models.UniqueConstraint(fields=["name", "new"], nulls_distinct=False, name="APP_one"))',
    ],
    since: '5.0',
    ...breaks(['insert', 'update'], { sqlite: { atMost: true }, mariadb: { atMost: true } }),
  },
  {
    title: 'AddConstraint: check',
    old: item({ it: 'models.IntegerField()' }),
    new: ['migrations.AddConstraint("item", models.CheckConstraint(CHECK=models.Q(it__gt=0), name="APP_check"))'],
    ...breaks(['insert', 'update'], { locks: { item: `${AEL} scan` } }),
  },
  {
    title: 'AddConstraint: check of a new column that may be NULL',
    old: item(),
    new: [
      ...addField('models.IntegerField(null=True)'),
      'migrations.AddConstraint("item", models.CheckConstraint(CHECK=models.Q(new__gt=0), name="APP_check"))',
    ],
    since: '5.0',
    ...lives(),
  },
  {
    title: 'AddConstraint: exclusion',
    old: item({ it: 'models.IntegerField()' }),
    new: [
      'migrations.AddConstraint("item", ExclusionConstraint(name="APP_exclude", expressions=[(models.Func("it", "it", models.Value("[]"), function="int4range"), "&&")]))',
    ],
    since: '3.0',
    ...breaks(['insert', 'update'], { locks: { item: `${AEL} index` } }),
  },
  {
    title: 'AddConstraintNotValid',
    old: item({ it: 'models.IntegerField()' }),
    new: ['AddConstraintNotValid("item", models.CheckConstraint(CHECK=models.Q(it__gt=0), name="APP_check"))'],
    since: '4.0',
    ...breaks(['insert', 'update'], { locks: { item: `${AEL} none` } }),
  },
  {
    title: 'ValidateConstraint',
    old: [
      ...item({ it: 'models.IntegerField()' }),
      'AddConstraintNotValid("item", models.CheckConstraint(CHECK=models.Q(it__gt=-100), name="APP_check"))',
    ],
    new: ['ValidateConstraint("item", "APP_check")'],
    since: '4.0',
    ...lives({ locks: { item: 'SHARE UPDATE EXCLUSIVE scan' } }),
  },
  {
    title: 'RemoveConstraint',
    old: item(
      { it: 'models.IntegerField()' },
      '{"constraints": [models.CheckConstraint(CHECK=models.Q(it__gt=-100), name="APP_check")]}',
    ),
    new: ['migrations.RemoveConstraint("item", "APP_check")'],
    ...lives({ locks: { item: `${AEL} none` } }),
  },
  {
    title: 'AlterConstraint',
    old: item(
      { it: 'models.IntegerField()' },
      '{"constraints": [models.CheckConstraint(CHECK=models.Q(it__gt=-100), name="APP_check")]}',
    ),
    new: [
      'migrations.AlterConstraint("item", "APP_check", models.CheckConstraint(CHECK=models.Q(it__gt=-100), name="APP_check", violation_error_message="no"))',
    ],
    since: '5.2',
    ...lives({ locks: {} }),
  },
  { title: 'CreateExtension', old: item(), new: ['CreateExtension("pg_trgm")'], ...lives() },
  ...['BtreeGin', 'BtreeGist', 'CIText', 'Crypto', 'HStore', 'Trigram', 'Unaccent'].map((name): Row => ({
    title: `${name}Extension`,
    old: item(),
    new: [`${name}Extension()`],
    ...lives(),
  })),
  { title: 'BloomExtension', since: '3.1', old: item(), new: ['BloomExtension()'], ...lives() },
  {
    title: 'CITextExtension and a column that needs it',
    old: item(),
    new: [
      'CITextExtension()',
      'migrations.RunSQL("ALTER TABLE APP_item ADD COLUMN it citext", "ALTER TABLE APP_item DROP COLUMN it")',
    ],
    ...lives(),
  },
  {
    title: 'CreateExtension of one that is there and in use',
    old: item(),
    new: ['CreateExtension("ltree")'],
    setUp: 'CREATE EXTENSION ltree; ALTER TABLE APP_item ADD COLUMN path ltree',
    breaks: [],
    reverses: 'fails',
  },
  {
    title: 'CreateExtension of one that is there',
    old: item(),
    new: ['CreateExtension("fuzzystrmatch")'],
    setUp: 'CREATE EXTENSION fuzzystrmatch',
    breaks: [],
    reverses: 'fails',
    atMost: true, // it is gone afterwards
  },
  {
    title: 'CreateCollation',
    old: item(),
    new: ['CreateCollation("APP_german", provider="icu", locale="de")'],
    since: '3.2',
    ...lives(),
  },
  {
    title: 'RemoveCollation',
    old: [...item(), 'CreateCollation("APP_german", provider="icu", locale="de")'],
    new: ['RemoveCollation("APP_german", provider="icu", locale="de")'],
    since: '3.2',
    ...breaks(['read'], { unknown: true, atMost: true }),
  },

  // Database and state apart
  {
    title: 'SeparateDatabaseAndState: removed from the state alone',
    old: item({ it: 'models.IntegerField(null=True)' }),
    new: ['migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("item", "it")])'],
    ...lives({ locks: {} }),
  },
  {
    title: 'SeparateDatabaseAndState: the model removed from the state alone',
    old: item(),
    new: ['migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Item")])'],
    ...lives({ locks: {} }),
  },
  {
    title: 'SeparateDatabaseAndState: the worst of its parts',
    old: item({ it: 'models.IntegerField(null=True)' }),
    new: [
      'migrations.SeparateDatabaseAndState(database_operations=[migrations.AddIndex("item", models.Index(fields=["name"], name="APP_name")), migrations.RunSQL("ALTER TABLE APP_item DROP COLUMN it")], state_operations=[migrations.RemoveField("item", "it")])',
    ],
    breaks: ['read', 'insert', 'update'],
    reverses: 'no',
  },
  {
    title: 'RunSQL drops a column that the state has let go before',
    old: [
      ...item({ it: 'models.IntegerField(null=True)' }),
      'migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("item", "it")])',
    ],
    new: [
      'migrations.RunSQL("ALTER TABLE APP_item DROP COLUMN it", "ALTER TABLE APP_item ADD COLUMN it integer NULL")',
    ],
    breaks: [],
    reverses: 'loses',
    setUp: 'UPDATE APP_item SET it = 5',
  },

  // Python
  {
    title: 'RunPython without a way back',
    old: item(),
    new: ['migrations.RunPython(lambda apps, editor: None)'],
    breaks: [],
    reverses: 'no',
    unknown: true,
    atMost: true,
  },
  {
    title: 'RunPython that cannot go back to what it changed',
    old: item(),
    new: [
      'migrations.RunPython(lambda apps, editor: apps.get_model("APP", "Item").objects.update(name="x"), migrations.RunPython.noop)',
    ],
    breaks: [],
    reverses: 'loses',
    unknown: true,
    atMost: true,
  },
  {
    title: 'RunPython with a way back',
    old: item({ it: 'models.IntegerField()' }),
    new: [
      'migrations.RunPython(lambda apps, editor: apps.get_model("APP", "Item").objects.update(it=models.F("it") + 1), lambda apps, editor: apps.get_model("APP", "Item").objects.update(it=models.F("it") - 1))',
    ],
    ...lives({ unknown: true, atMost: true }),
  },
  {
    title: 'RunPython that does nothing',
    old: item(),
    new: ['migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop)'],
    ...lives(),
  },

  // SQL
  sql('nothing', 'SELECT 1', '', lives()),
  sql('nothing, without a way back', 'SELECT 1', null, { breaks: [], reverses: 'no' }),
  sql(
    'a column that may be NULL',
    'ALTER TABLE APP_item ADD COLUMN new integer',
    'ALTER TABLE APP_item DROP COLUMN new',
    lives({ locks: { item: `${AEL} none` } }),
  ),
  sql(
    'a column that must have a value',
    'ALTER TABLE APP_item ADD COLUMN new integer NOT NULL DEFAULT 7; ALTER TABLE APP_item ALTER new DROP DEFAULT',
    'ALTER TABLE APP_item DROP COLUMN new',
    breaks(['insert'], { unknown: true, atMost: true }),
  ),
  sql('drops a column', 'ALTER TABLE APP_item DROP COLUMN it CASCADE', 'ALTER TABLE APP_item ADD COLUMN it integer', {
    breaks: ['read', 'insert', 'update'],
    reverses: 'loses',
  }),
  sql(
    'renames a column',
    'ALTER TABLE "APP_item" RENAME COLUMN "it" TO "that"',
    'ALTER TABLE "APP_item" RENAME that TO it',
    breaks(['read', 'insert', 'update']),
  ),
  sql(
    'renames the table',
    'ALTER TABLE APP_item RENAME TO APP_that',
    'ALTER TABLE APP_that RENAME TO APP_item',
    breaks(everything),
  ),
  sql('drops the table', 'DROP TABLE IF EXISTS public.APP_item', null, { breaks: everything, reverses: 'no' }),
  sql(
    'a table, an index, a view',
    "CREATE TABLE APP_new (id int); CREATE INDEX APP_index ON APP_item (name); CREATE VIEW APP_view AS SELECT ';' FROM APP_item",
    'DROP VIEW APP_view; DROP INDEX APP_index; DROP TABLE APP_new',
    lives({ locks: { item: 'SHARE index' } }),
  ),
  sql(
    'a unique index',
    'CREATE UNIQUE INDEX APP_index ON APP_item (name)',
    'DROP INDEX APP_index',
    breaks(['insert', 'update']),
  ),
  sql(
    'a check without a look at the rows',
    'ALTER TABLE APP_item ADD CONSTRAINT APP_check CHECK (it > 0) NOT VALID',
    'ALTER TABLE APP_item DROP CONSTRAINT APP_check',
    breaks(['insert', 'update'], { locks: { item: `${AEL} none` } }),
  ),
  sql(
    'NOT NULL',
    'ALTER TABLE APP_item ALTER COLUMN it SET NOT NULL',
    'ALTER TABLE APP_item ALTER COLUMN it DROP NOT NULL',
    breaks(['insert', 'update'], { nulls: false }),
  ),
  sql(
    'changes rows, with a way back',
    'UPDATE APP_item SET it = it + 1',
    'UPDATE APP_item SET it = it - 1',
    lives({ unknown: true, atMost: true }),
  ),
  sql('changes rows, with a way back that does nothing', "UPDATE APP_item SET name = 'x' /* all; of them */", '', {
    breaks: [],
    reverses: 'loses',
    unknown: true,
    atMost: true,
  }),
  sql('deletes rows', 'DELETE FROM APP_item WHERE id = 1 -- only one', '', {
    breaks: [],
    reverses: 'loses',
  }),
  sql('what nobody can read', "DO $$ BEGIN EXECUTE 'ALTER TABLE APP_item DROP COLUMN it'; END $$", null, {
    breaks: everything,
    reverses: 'no',
    unknown: true,
    atMost: true,
  }),
  sql(
    'a text of another type',
    'ALTER TABLE APP_item ALTER COLUMN it TYPE text',
    'ALTER TABLE APP_item ALTER COLUMN it TYPE integer USING it::integer',
    { breaks: ['read', 'insert', 'update'], reverses: 'loses', unknown: true, atMost: true },
  ),

  // The project's own
  {
    title: 'an operation of the project',
    old: item(),
    new: [
      'type("Own", (migrations.operations.base.Operation,), {"state_forwards": lambda *_: None, "database_forwards": lambda *_: None, "database_backwards": lambda *_: None})()',
    ],
    breaks: everything,
    reverses: 'loses',
    unknown: true,
    atMost: true,
  },
  {
    title: 'a model that Django does not manage',
    old: item(),
    new: [
      'migrations.CreateModel("Free", [("id", models.BigAutoField(primary_key=True))], options={"managed": False})',
      'migrations.AddField("free", "it", models.IntegerField(default=7))',
    ],
    ...lives({ locks: {} }),
  },
]
