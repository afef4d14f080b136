import type { Command } from './contract.ts'

const version = 'the version that was asked for, or that the rollback chose'
const images = 'JSON: service to `name@digest`'

const releasing = {
  outcome:
    '`deployed`, `unchanged` (this release already ran), `planned` (dry run), `rolled-back` (by a rollback), or `failed` whenever the step is red',
  version,
  'previous-version': 'what served just before',
  serving: 'what answers now, also after a failure',
  images,
  migrations: 'JSON list: `app`, `name`, `state` (`applied`), `milliseconds`',
  plan: 'JSON: the plan as it was shown',
  'plan-digest': 'digest over what decides in the plan, for the input `plan-digest`',
}

/** Every output of each command with its meaning; the action.yml files and the README are generated from it. */
export const outputs: Readonly<Record<Command, Readonly<Record<string, string>>>> = {
  deploy: { ...releasing, url: 'the public address, for `environment:` of the job' },
  rollback: releasing,
  build: { outcome: '`built`, or `failed` whenever the step is red', version, images },
  exec: { 'exit-code': 'exit code of what was run; the step is red when it is not 0' },
  status: {
    serving: 'the version that serves; empty when nothing was deployed',
    healthy:
      '`true` when every container of the release runs and is healthy, the site answers, and nothing is left to migrate',
    images,
    migrations: 'JSON list: `name`, `state` (`applied`, `pending`, or `unknown` to the image)',
    status: 'JSON: everything that the job summary shows',
  },
}
