import unit from './jest.config.js'

/** User stories against real servers: Docker is needed, script/bootstrap prepares it. */
export default {
  ...unit,
  roots: ['<rootDir>/test/e2e'],
  testPathIgnorePatterns: [],
  testTimeout: 300_000,
  maxWorkers: 2,
}
