/** Unit tests: pure decisions and small programs of the runner; no Docker, no server; seconds. */
export default {
  roots: ['<rootDir>/test/unit'],
  // One more than the cores of the machine that tests run on, because some tests wait.
  maxWorkers: 3,
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/strip-types.js' },
  // Some tests start programs, which are slow on a busy machine.
  testTimeout: 60_000,
}
