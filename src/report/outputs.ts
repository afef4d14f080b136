import type { Command } from '../inputs/contract.ts'

const version = 'the requested version, or the one that the rollback chose'
const images = 'JSON: service to `name@digest`'

const releasing = {
  outcome:
    '`deployed`, `unchanged` (this release already ran), `planned` (dry run), `rolled-back` (by a rollback), or `failed` whenever the step is red',
  version,
  'previous-version': 'the version that served before',
  serving:
    'the version that serves now, also after a failure; empty when nothing serves, or when it is not known because the job was cancelled or the host did not answer',
  images,
  migrations: 'JSON list: `app`, `name`, `state` (`applied`), `milliseconds`; `database` if it is not `default`',
  plan: 'JSON: the plan as it was shown: `digest`, `order` (`before`, `stopped`, `none`), `return` (`containers`, `reverse`, `none`), `operations`, and `pending` with its verdicts',
  'plan-digest': 'digest of the decisions in the plan, for the input `plan-digest`',
}

/** Every output of each command with its meaning; the action.yml files and the README are generated from it. */
export const outputs: Readonly<Record<Command, Readonly<Record<string, string>>>> = {
  deploy: { ...releasing, url: 'the public address, for `environment:` of the job' },
  rollback: releasing,
  build: { outcome: '`built`, or `failed` whenever the step is red', version, images },
  exec: { 'exit-code': 'exit code of the command; the step is red when it is not 0' },
  status: {
    serving: 'the version that serves; empty when nothing was deployed',
    healthy:
      '`true` when every container of the release runs and is healthy, the site answers, and nothing is left to migrate',
    images,
    migrations: 'JSON list: `name`, `state` (`applied`, `pending`, or `unknown` to the image)',
    status: 'JSON: everything that the job summary shows',
  },
}
