import { expect, test } from '@jest/globals'
import { checkDefinitions } from '../../../src/compose/definition.ts'
import { projectOf } from './model.ts'

const check =
  (web: string, more = '') =>
  (): void =>
    checkDefinitions(projectOf(`services:\n  web: {image: a, ${web}}\n${more}`))

test.each([
  ['volumes', 'volumes: ["data:/data"]'],
  ['volumes', 'volumes: [{type: volume, source: data, target: /data}]'],
  ['networks', 'networks: [data]'],
  ['networks', 'networks: {data: {aliases: [shop]}}'],
  ['secrets', 'secrets: [{source: data}]'],
  ['configs', 'configs: [data]'],
])('what is not below %s is missed before anything is built: %s', (kind, line) => {
  expect(check(line)).toThrow(
    expect.objectContaining({
      code: 'compose-invalid',
      what: `Service web uses data, which is not defined below ${kind}:`,
      annotation: expect.objectContaining({ file: 'compose.yaml' }),
    }),
  )
  expect(check(line, `${kind}: {data: }`)).not.toThrow()
  expect(check(`profiles: [tools], ${line}`)).not.toThrow()
})

test.each([
  'volumes: ["./a:/a", "${DATA:-data}:/b", "${DATA}:/c", /d, {type: tmpfs, target: /e}]',
  'networks: [default]',
  'network_mode: host',
])('nothing has to be defined for %s', (line) => {
  expect(check(line)).not.toThrow()
})

test('everything missing is reported at once', () => {
  expect(check('volumes: ["data:/data"], secrets: [key]')).toThrow(/uses data[^]*uses key/)
})
