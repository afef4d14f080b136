import { expect, test } from '@jest/globals'
import { explainExit, explanationLines } from '../../../src/host/exit.ts'
import { explanations } from '../../../src/host/explanation.ts'

test.each<[string, string, RegExp, RegExp]>([
  [
    'a relative path is the name of a volume',
    'service "web" refers to undefined volume data/x: invalid compose project',
    /variable in `volumes:` of web has the value data\/x: without \.\/ or \//,
    /^write the path as \.\/data\/x or/,
  ],
  [
    'an empty variable',
    'invalid spec: :/data: empty section between colons',
    /variable in `volumes:` is empty/,
    /^give the variable a value in `env-file`/,
  ],
  ['something else', 'services.web.ports.0 must be a string', /^$/, /^fix the line that is named/],
])('Compose refuses a model: %s', (_, said, why, fix) => {
  const [code, problem] = explainExit(explanations.compose_invalid.exit, said, '')
  expect(code).toBe('compose-invalid')
  expect(problem.why ?? '').toMatch(why)
  expect(problem.fix).toMatch(fix)
  expect(problem.seen).toBe(said)
  // Another step that prints the same has another cause.
  expect(explainExit(explanations.unhealthy.exit, said, '')[1].fix).not.toMatch(/variable/)
})

test('the explanations for a rollback by hand are not about a new release', () => {
  const lines = explanationLines(undefined)
  expect(lines.filter((line) => /^\d+ [^(]*new release/i.test(line.split('. To fix it')[0] ?? ''))).toEqual([])
  expect(lines.find((line) => line.startsWith('46 '))).toMatch(/^46 the release did not .*: choose another version/)
})
