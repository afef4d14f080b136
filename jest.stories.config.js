import unit from './jest.config.js'

/** User stories on real parts: Docker is needed, script/bootstrap prepares it. */
export default {
  ...unit,
  testSequencer: '<rootDir>/test/longest-first.js',
  roots: ['<rootDir>/test/stories'],
  testEnvironment: '<rootDir>/test/stories/environment.ts',
  // A bound for what hangs; a story takes up to 90 s on a calm machine with two cores.
  testTimeout: 900_000,
  maxWorkers: 2,
}
