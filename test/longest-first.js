import Sequencer from '@jest/test-sequencer'

/** Each takes minutes, longest first. With two workers, one that starts late would leave the other idle at the end. */
const LONG = [
  'stories/death-server',
  'stories/kinds',
  'stories/backup',
  'stories/trial',
  'stories/verdict',
  'stories/reverse',
  'stories/shapes',
  'stories/failure',
  'stories/cancel',
  'stories/act',
  'transaction/death',
  'transaction/forward',
  'transaction/unapply',
  'transaction/trouble',
]

/** Jest knows how long a file takes only after it has run on this machine, and until then sorts files by size. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const rest = super.sort(tests)
    const long = LONG.flatMap((name) => rest.filter(({ path }) => path.endsWith(`${name}.test.ts`)))
    return [...long, ...rest.filter((test) => !long.includes(test))]
  }
}
