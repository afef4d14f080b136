import { describe, expect, test } from '@jest/globals'
import { chooseProjectName } from '../../../src/compose/name.ts'

const none = { input: undefined, server: undefined, env: undefined, file: undefined, repository: 'owner/My.Site' }

describe('the name of the project', () => {
  test.each([
    [{}, 'mysite'],
    [{ file: 'shop' }, 'shop'],
    [{ file: '${COMPOSE_NAME:-shop}' }, 'shop'],
    [{ file: '${COMPOSE_NAME}' }, 'mysite'],
    [{ file: 'shop', env: 'live' }, 'live'],
    [{ env: 'live', server: 'kept' }, 'kept'],
    [{ file: 'shop', env: '' }, 'shop'],
    [{ server: 'kept', input: 'asked' }, 'asked'],
    [{ file: 'My Shop' }, 'myshop'],
    [{ repository: 'owner/--' }, 'app'],
  ])('%j gives %s', (facts, name) => {
    expect(chooseProjectName({ ...none, ...facts })).toBe(name)
  })
})
