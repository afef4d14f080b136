import { describe, expect, test } from '@jest/globals'
import { chooseProjectName } from '../../../src/compose/name.ts'

const none = {
  input: undefined,
  host: undefined,
  env: undefined,
  file: undefined,
  settings: undefined,
  repository: 'owner/My.Site',
}

describe('the name of the project', () => {
  test.each([
    [{}, 'mysite'],
    [{ file: 'shop' }, 'shop'],
    [{ file: '${COMPOSE_NAME:-shop}' }, 'shop'],
    [{ file: '${STAGE}-shop', settings: new Map([['STAGE', 'live']]) }, 'live-shop'],
    [{ file: '${STAGE}-shop', host: 'kept' }, 'kept'],
    [{ file: 'shop', env: 'live' }, 'live'],
    [{ env: 'live', host: 'kept' }, 'kept'],
    [{ file: 'shop', env: '' }, 'shop'],
    [{ host: 'kept', input: 'asked' }, 'asked'],
    [{ file: 'My Shop' }, 'myshop'],
    [{ repository: 'owner/--' }, 'app'],
  ])('%j gives %s', (facts, name) => {
    expect(chooseProjectName({ ...none, ...facts })).toMatchObject({ name })
  })
  test('is asked for when only the host may know the variable in it', () => {
    expect(() => chooseProjectName({ ...none, file: '${STAGE}-shop' })).toThrow(
      expect.objectContaining({ code: 'variable-missing', fix: expect.stringContaining('project: <name>') }),
    )
  })
})
