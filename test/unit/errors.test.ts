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
      ].join('\n'),
    )
  })

  test('leaves out what is not known', () => {
    expect(explain(new DeployError('aborted', { what: 'The job was cancelled' }))).toBe(
      'The job was cancelled [aborted]',
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
    ])
  })

  test('says a cause only once', () => {
    const cause = new Error('line 3 is odd', { cause: new Error('nobody knows') })
    const text = explain(new DeployError('compose-invalid', { what: 'It failed', seen: 'line 3 is odd', cause }))
    expect(text).toBe('It failed [compose-invalid]\n  seen:  line 3 is odd\n  cause: nobody knows')
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
