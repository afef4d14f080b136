import { TestEnvironment } from 'jest-environment-node'

/** What is used of an event of jest-circus. */
type Event = { name: string; test?: { name: string; errors: readonly unknown[] } }

/** Prints the last log of the action below a test that failed: a wrong outcome alone does not say why. */
export default class StoryEnvironment extends TestEnvironment {
  handleTestEvent({ name, test }: Event): void {
    if (name !== 'test_done' || !test || test.errors.length === 0) return
    const log: unknown = Reflect.get(this.global, 'lastLog')
    if (typeof log !== 'string') return
    process.stderr.write(`The action's last lines before "${test.name}" failed:\n${log.slice(-4000)}\n`)
  }
}
