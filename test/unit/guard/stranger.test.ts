import { expect, test } from '@jest/globals'
import { readApp } from '../../../src/compose/app.ts'
import { describeStrangers, describeStrangersBehind } from '../../../src/guard/stranger.ts'

const image = { image: 'accounts' }
const job = { 'accounts-migrate': { condition: 'service_completed_successfully' } }

test.each<[string, Record<string, object>, RegExp]>([
  [
    'one service',
    { accounts: image },
    /^accounts has a different manage.py from web, .* Let accounts wait for a service/,
  ],
  [
    'two services',
    { accounts: image, mailer: image },
    /^accounts and mailer have .* its migrations are neither applied/,
  ],
  [
    'a service whose job migrates',
    { accounts: { ...image, depends_on: job }, 'accounts-migrate': image },
    /^accounts has .*: what accounts-migrate migrates is neither judged nor verified here/,
  ],
])('the warning for another project: %s', (_, services, text) => {
  const target = { group: { services: ['web'] } }
  const django = { target, managePath: '/app/manage.py', strangers: Object.keys(services) }
  expect(describeStrangers(readApp({ services }), django)).toMatch(text)
})

test('a rollback warns of another project in the release that serves, or in the one to go back to', () => {
  expect(describeStrangersBehind('v1', [], [])).toBeUndefined()
  expect(describeStrangersBehind('v1', ['accounts'], ['accounts'])).toMatch(/^accounts seems to be .* to v1 neither/)
  expect(describeStrangersBehind('v1', ['accounts'], ['mailer'])).toMatch(/^accounts and mailer seem to be/)
})
