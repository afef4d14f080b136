import { expect, test } from '@jest/globals'
import { parseImages } from '../../../src/inputs/images.ts'

const digest = `sha256:${'0a'.repeat(32)}`

test('the output of a build is read back', () => {
  const text = JSON.stringify({ web: `ghcr.io/o/r@${digest}`, proxy: `127.0.0.1:5001/o/r-proxy@${digest}` })
  expect([...parseImages(text)]).toEqual([
    ['web', `ghcr.io/o/r@${digest}`],
    ['proxy', `127.0.0.1:5001/o/r-proxy@${digest}`],
  ])
})

test.each([
  ['ghcr.io/o/r:v1', 'it is not JSON'],
  ['[]', 'it is not a JSON object'],
  ['null', 'it is not a JSON object'],
  ['{"web": 1}', 'web has no image with a digest'],
  ['{"web": "ghcr.io/o/r:v1"}', 'web has no image with a digest'],
  [`{"web": "ghcr.io/o/r@${digest}0"}`, 'web has no image with a digest'],
  [`{"web": "-v/o/r@${digest}"}`, 'it is not the name of an image repository'],
  [`{"web": "o/r:v1@${digest}"}`, 'it has a tag or digest'],
  [`{"--all": "o/r@${digest}"}`, '--all is not a service name'],
])('%s is refused: %s', (text, why) => {
  expect(() => parseImages(text)).toThrow(why)
})
