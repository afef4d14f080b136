import { describe, expect, test } from '@jest/globals'
import { readSql, type Action } from '../../../../src/django/verdict/sql.ts'

const unknown = (text: string): Action => ({ does: 'unknown', text })

describe('readSql', () => {
  test.each<[string, Action[]]>([
    ['', []],
    [' ; -- nothing; at all\n/* nor; here */ ;', []],
    ['SET lock_timeout = 5', [{ does: 'nothing' }]],
    ['SELECT 1; select 2', [{ does: 'nothing' }, { does: 'nothing' }]],
    ["SELECT setval('a', 1)", [unknown("SELECT setval ( 'a' , 1 )")]],
    ["COMMENT ON TABLE a IS 'x; y'", [{ does: 'nothing' }]],
    ['CREATE TABLE IF NOT EXISTS Shop_Order (id int)', [{ does: 'create', what: 'table', name: 'shop_order' }]],
    ['create unlogged table "Shop" (id int)', [{ does: 'create', what: 'table', name: 'Shop' }]],
    ['CREATE OR REPLACE VIEW a AS SELECT 1', [unknown('CREATE OR REPLACE VIEW a AS SELECT 1')]],
    [
      'CREATE FUNCTION f() RETURNS int AS $x$ SELECT 1; SELECT $y$;$y$ $x$ LANGUAGE sql',
      [{ does: 'create', what: 'function', name: 'f' }],
    ],
    ['CREATE TRIGGER t BEFORE INSERT ON a', [unknown('CREATE TRIGGER t BEFORE INSERT ON a')]],
    [
      'CREATE INDEX ON shop_order (a)',
      [{ does: 'add index', table: 'shop_order', unique: false, concurrently: false }],
    ],
    [
      'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY public."Order" (a)',
      [{ does: 'add index', table: 'Order', unique: true, concurrently: true }],
    ],
    ['DROP INDEX CONCURRENTLY i', [{ does: 'drop index', concurrently: true }]],
    [
      'DROP TABLE IF EXISTS a, b.c CASCADE',
      [
        { does: 'drop table', name: 'a' },
        { does: 'drop table', name: 'c' },
      ],
    ],
    ['DROP VIEW a', [{ does: 'drop table', name: 'a' }]],
    ['DROP FUNCTION f()', [unknown('DROP FUNCTION f ( )')]],
    [
      'ALTER TABLE IF EXISTS ONLY "a" ADD COLUMN IF NOT EXISTS b numeric(10, 2) NOT NULL DEFAULT 0, ADD c text NOT NULL, DROP d CASCADE',
      [
        { does: 'add column', table: 'a', column: 'b', required: false },
        { does: 'add column', table: 'a', column: 'c', required: true },
        { does: 'drop column', table: 'a', column: 'd' },
      ],
    ],
    ['ALTER TABLE a RENAME COLUMN b TO c', [{ does: 'rename column', table: 'a', column: 'b' }]],
    ['ALTER TABLE a RENAME b TO c', [{ does: 'rename column', table: 'a', column: 'b' }]],
    ['ALTER TABLE a RENAME TO c', [{ does: 'rename table', table: 'a' }]],
    ['ALTER TABLE a RENAME CONSTRAINT b TO c', [{ does: 'nothing' }]],
    [
      'ALTER TABLE a ALTER COLUMN b SET DEFAULT 7, ALTER b DROP DEFAULT, ALTER b SET NOT NULL, ALTER b DROP NOT NULL, ALTER b TYPE text USING b::text, ALTER b SET DATA TYPE int, ALTER b SET STATISTICS 5, ALTER b SET (n = 1)',
      [
        { does: 'set default', table: 'a', column: 'b' },
        { does: 'drop default', table: 'a', column: 'b' },
        { does: 'set not null', table: 'a', column: 'b' },
        { does: 'drop not null', table: 'a', column: 'b' },
        { does: 'alter type', table: 'a', column: 'b' },
        { does: 'alter type', table: 'a', column: 'b' },
        { does: 'nothing' },
        unknown('ALTER TABLE a ALTER b SET ( n = 1 )'),
      ],
    ],
    [
      'ALTER TABLE a ADD CONSTRAINT b CHECK (c > 0) NOT VALID',
      [{ does: 'add constraint', table: 'a', kind: 'check', validated: false }],
    ],
    ['ALTER TABLE a ADD UNIQUE (b)', [{ does: 'add constraint', table: 'a', kind: 'unique', validated: true }]],
    [
      'ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c',
      [{ does: 'add constraint', table: 'a', kind: 'foreign key', validated: true }],
    ],
    ['ALTER TABLE a VALIDATE CONSTRAINT b', [{ does: 'validate constraint', table: 'a' }]],
    ['ALTER TABLE a DROP CONSTRAINT b', [{ does: 'drop constraint', table: 'a' }]],
    ['ALTER TABLE a ADD INDEX b (c)', [unknown('ALTER TABLE a ADD INDEX b ( c )')]],
    ['ALTER TABLE a ENABLE ROW LEVEL SECURITY', [unknown('ALTER TABLE a ENABLE ROW LEVEL SECURITY')]],
    ["INSERT INTO a VALUES ('it''s; so', E'it\\'s; so')", [{ does: 'insert', table: 'a' }]],
    ['INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET b = 1', [{ does: 'update', table: 'a' }]],
    ['UPDATE ONLY `a` SET b = 1', [{ does: 'update', table: 'a' }]],
    [
      'DELETE FROM a; TRUNCATE b; TRUNCATE TABLE c',
      [
        { does: 'delete', table: 'a' },
        { does: 'delete', table: 'b' },
        { does: 'delete', table: 'c' },
      ],
    ],
    ['WITH x AS (SELECT 1) DELETE FROM a', [unknown('WITH x AS ( SELECT 1 ) DELETE FROM a')]],
    ['DO $$ BEGIN; END $$', [unknown('DO $$ BEGIN; END $$')]],
    [
      "UPDATE a SET b = 'never closed; DROP TABLE a",
      [
        { does: 'update', table: 'a' },
        { does: 'drop table', name: 'a' },
      ],
    ],
  ])('%s', (script, actions) => expect(readSql(script)).toEqual(actions))

  test('what nobody reads is cut', () => {
    expect(readSql(`CALL ${'x'.repeat(300)}`)).toEqual([unknown(`${`CALL ${'x'.repeat(300)}`.slice(0, 120)} …`)])
  })
})
