import unit from './jest.config.js'

/** User stories against real servers: Docker is needed, script/bootstrap prepares it. */
export default {
  ...unit,
  roots: ['<rootDir>/test/e2e'],
  testPathIgnorePatterns: [],
  // A bound for what hangs; a story takes up to 90 s on a calm machine of two cores.
  testTimeout: 900_000,
  maxWorkers: 2,
}
