import { expect, test } from '@jest/globals'
import { checkFormats } from '../../../src/guard/format.ts'
import { projectOf } from '../compose/model.ts'

const raw = 'services: {web: {image: x, env_file: [plain.env, {path: a.env, format: raw}]}}'

test.each<[string, string, string | undefined, boolean]>([
  ['an older Compose', raw, '2.29.7', true],
  ['the first that knows it', raw, 'v2.30.0', false],
  ['a newer one', raw, '5.0.1', false],
  ['no known version', raw, undefined, false],
  ['no format', 'services: {web: {image: x, env_file: [{path: a.env, required: false}]}}', '2.24.0', false],
  ['a service that is not active', raw.replace('web', 'tool'), '2.29.7', false],
])('the format of an env file and %s', (_, text, compose, refused) => {
  const check = (): void => checkFormats(projectOf(text), ['web'], compose)
  if (!refused) return expect(check).not.toThrow()
  expect(check).toThrow(
    expect.objectContaining({
      code: 'server-compose-old',
      message: expect.stringContaining('2.30 or newer: service web reads a.env with `format:`'),
    }),
  )
})
