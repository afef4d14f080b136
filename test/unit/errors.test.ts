import { describe, expect, test } from '@jest/globals'
import { checkAll, codeOf, DeployError, explain, placeOf, Problems } from '../../src/errors.ts'

describe('explain', () => {
  test('prints code, what, seen, why and fix, with long values indented below their names', () => {
    const error = new DeployError('ssh-unreachable', {
      what: 'Nothing answers at example.org:22',
      seen: 'ssh: connect to host example.org port 22\nConnection refused\n',
      why: 'a firewall closes the port',
      fix: 'open port 22 for the runner',
    })
    expect(explain(error)).toBe(
      [
        'Nothing answers at example.org:22 [ssh-unreachable]',
        '  seen:  ssh: connect to host example.org port 22',
        '         Connection refused',
        '  why:   a firewall closes the port',
        '  fix:   open port 22 for the runner',
        '  see:   docs/troubleshooting.md#ssh-unreachable',
      ].join('\n'),
    )
  })

  test.each([
    ['run `python manage.py makemigrations --merge`', 'run `uv run src/manage.py makemigrations --merge`'],
    ['`RUN python manage.py collectstatic --noinput`', '`RUN uv run src/manage.py collectstatic --noinput`'],
    ['say it: manage: python manage.py', 'say it: manage: python manage.py'],
  ])('%s in the words of the project', (fix, said) => {
    const error = new DeployError('migration-conflict', { what: 'It failed', seen: 'python manage.py x', fix })
    const text = explain(error, { manage: ['uv', 'run', 'src/manage.py'] })
    expect(text).toContain(`  seen:  python manage.py x\n  fix:   ${said}\n`)
    expect(explain(error)).toContain(`  fix:   ${fix}\n`)
  })

  test('leaves out what is not known', () => {
    expect(explain(new DeployError('aborted', { what: 'The job was cancelled' }))).toBe(
      'The job was cancelled [aborted]\n  see:   docs/troubleshooting.md#aborted',
    )
  })

  test('follows the causes to the root', () => {
    const root = new Error('read ECONNRESET')
    const middle = new DeployError('push-failed', { what: 'The push broke off', cause: root })
    const lines = explain(new DeployError('internal', { what: 'Nothing was deployed', cause: middle })).split('\n')
    expect(lines).toEqual([
      'Nothing was deployed [internal]',
      '  cause: The push broke off [push-failed]',
      '  cause: read ECONNRESET',
      '  see:   docs/troubleshooting.md#internal',
    ])
  })

  test('says a cause only once', () => {
    const cause = new Error('line 3 is odd', { cause: new Error('nobody knows') })
    const text = explain(new DeployError('compose-invalid', { what: 'It failed', seen: 'line 3 is odd', cause }))
    expect(text).toMatch(/^It failed \[compose-invalid\]\n  seen:  line 3 is odd\n  cause: nobody knows\n  see: /)
  })

  test('says in the first line what serves, and ends with the address of the entry', () => {
    const surroundings = {
      serving: 'todo serves v1',
      page: 'https://github.com/octo/deploy/blob/v1/docs/troubleshooting.md',
    }
    const failure = new DeployError('migration-failed', { what: 'Migration shop.0002 failed', cause: new Error('x') })
    expect(explain(failure, surroundings).split('\n')).toEqual([
      'Migration shop.0002 failed; todo serves v1 [migration-failed]',
      '  cause: x',
      '  see:   https://github.com/octo/deploy/blob/v1/docs/troubleshooting.md#migration-failed',
    ])
    const two = explain(new Problems([failure, failure]), surroundings)
    expect(two.split('\n')[0]).toBe('2 things need a change; todo serves v1:')
    expect(two.match(/see:.*/g)).toEqual([`see:   ${surroundings.page}#migration-failed`])
    expect(explain('?', surroundings)).toMatch(/; todo serves v1 \[internal\]\n[^]*#internal$/)
  })

  test.each(['', '\n', '  \n\t'])('never shows a blank %j', (blank) => {
    const failure = new DeployError('internal', { what: 'It failed', seen: blank, why: blank, fix: blank })
    expect(failure).toMatchObject({ seen: undefined, why: undefined, fix: undefined })
    expect(explain(failure)).toBe('It failed [internal]\n  see:   docs/troubleshooting.md#internal')
  })

  test('lists all problems of the inputs', () => {
    const error = new Problems([
      new DeployError('input-missing', { what: 'Input host is empty', fix: 'set host' }),
      new DeployError('input-invalid', { what: 'Input migrate is wrong', seen: 'sometimes' }),
    ])
    expect(explain(error).split('\n')).toEqual([
      '2 things need a change:',
      'Input host is empty [input-missing]',
      '  fix:   set host',
      'Input migrate is wrong [input-invalid]',
      '  seen:  sometimes',
      '  see:   docs/troubleshooting.md#input-missing',
      '         docs/troubleshooting.md#input-invalid',
    ])
    expect(error.message).toBe('Input host is empty; Input migrate is wrong')
  })

  test('says so when it meets an error it does not know, with the stack', () => {
    const text = explain(new TypeError('x is not a function'))
    expect(text).toContain('[internal]')
    expect(text).toContain('TypeError: x is not a function')
    expect(text).toContain('errors.test.ts')
    expect(explain('a plain string')).toContain('a plain string')
  })
})

test('all checks are made, and what they find is thrown at once', () => {
  const fail = (what: string) => (): void => {
    throw new DeployError('compose-invalid', { what, annotation: { file: 'compose.yaml', line: 3 } })
  }
  expect(() => checkAll(() => undefined)).not.toThrow()
  expect(() => checkAll(fail('a'), () => undefined)).toThrow(expect.objectContaining({ what: 'a' }))
  expect(() => checkAll(fail('a'), () => checkAll(fail('b'), fail('c')))).toThrow('a; b; c')
  expect(() =>
    checkAll(fail('a'), () => {
      throw new TypeError('x')
    }),
  ).toThrow(TypeError)
})

test('placeOf points to the first place that is known', () => {
  const annotation = { file: 'compose.yaml', line: 3 }
  const known = new DeployError('compose-invalid', { what: 'x', annotation })
  const unknown = new DeployError('input-invalid', { what: 'y' })
  expect(placeOf(known)).toBe(annotation)
  expect(placeOf(new Problems([unknown, known]))).toBe(annotation)
  expect(placeOf(unknown)).toBeUndefined()
  expect(placeOf(new Error('?'))).toBeUndefined()
})

test('codeOf names the code of any failure', () => {
  expect(codeOf(new DeployError('lock-busy', { what: 'busy' }))).toBe('lock-busy')
  expect(codeOf(new Problems([new DeployError('input-missing', { what: 'host' })]))).toBe('input-missing')
  expect(codeOf(new Error('?'))).toBe('internal')
})

test('a cause is kept, and absent when there is none', () => {
  const root = new Error('root')
  expect(new DeployError('internal', { what: 'x', cause: root }).cause).toBe(root)
  expect('cause' in new DeployError('internal', { what: 'x' })).toBe(false)
})
