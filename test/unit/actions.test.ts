import { expect, test } from '@jest/globals'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { inputs } from '../../src/inputs/contract.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const actions = ['action.yml', ...readdirSync(root).map((name) => join(name, 'action.yml'))].filter((path) =>
  existsSync(join(root, path)),
)
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

test('there is something to look at', () => {
  expect(actions).toEqual(expect.arrayContaining(['action.yml', 'rollback/action.yml']))
})

test.each(actions)('%s starts an entry file of its own, and no input says what to do', (path) => {
  const { inputs, runs } = parse(read(path)) as {
    inputs: Record<string, unknown>
    runs: { using: string; main: string; post: string }
  }
  expect(runs.using).toBe('node24')
  const command = path === 'action.yml' ? 'deploy' : path.replace('/action.yml', '')
  expect(join(path, '..', runs.main)).toBe(`dist/${command}.js`)
  expect(join(path, '..', runs.post)).toBe('dist/post.js')
  expect(inputs).not.toHaveProperty('command')
  expect(read(join(path, '..', runs.main))).toBe("import './index.js'\n")
})

type Called = {
  on: { workflow_call: { inputs: Record<string, { default?: unknown }>; secrets: object } }
  jobs: Record<string, { environment?: unknown; concurrency?: object; steps: { id?: string; with?: object }[] }>
}

test.each(['deploy', 'rollback'])('the reusable workflow %s.yml passes every input and secret', (name) => {
  const text = read(`.github/workflows/${name}.yml`)
  const { inputs: given, secrets } = (parse(text) as Called).on.workflow_call
  const unused = Object.keys(given).filter((input) => !text.includes(`inputs.${input} `))
  expect([...unused, ...Object.keys(secrets).filter((secret) => !text.includes(`secrets.${secret} `))]).toEqual([])
})

test('the reusable workflows wait for each other in their environment, and for nothing before the plan is shown', () => {
  const [deploy, rollback] = ['deploy', 'rollback'].map(
    (name) => parse(read(`.github/workflows/${name}.yml`)) as Called,
  )
  const [deploying, rollingBack] = [deploy?.jobs['deploy'], rollback?.jobs['rollback']]
  expect(deploying?.concurrency).toEqual({
    group: 'deploy-django-${{ inputs.environment }}',
    'cancel-in-progress': false,
  })
  expect(rollingBack?.concurrency).toEqual(deploying?.concurrency)
  expect(deploying?.environment).toMatchObject({ name: '${{ inputs.environment }}' })
  expect(rollingBack?.environment).toBe('${{ inputs.environment }}')
  // An environment with reviewers would ask for approval before there is a plan to look at.
  expect(deploy?.jobs['plan']?.environment).toBe('${{ inputs.plan-environment }}')
  expect(deploy?.on.workflow_call.inputs['plan-environment']?.default).toBe('')
  expect(deploy?.jobs['build']).not.toHaveProperty('environment')
})

test('the reusable workflow plans what it deploys', () => {
  const { jobs } = parse(read('.github/workflows/deploy.yml')) as Called
  const passed = (job: 'plan' | 'deploy'): object => {
    const alone = ['dry-run', 'plan-digest', 'images', 'url']
    const values = jobs[job]?.steps.find(({ id }) => id === job)?.with ?? {}
    return Object.fromEntries(Object.entries(values).filter(([name]) => !alone.includes(name)))
  }
  expect(passed('plan')).toEqual(passed('deploy'))
  for (const name of Object.keys(passed('deploy'))) expect(Object.keys(inputs.deploy)).toContain(name)
})
