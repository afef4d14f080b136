/** Unit tests: pure, no Docker, under ten seconds. */
export default {
  roots: ['<rootDir>/test'],
  maxWorkers: '100%',
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['<rootDir>/test/e2e/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/strip-types.js' },
  // A test starts programs; on a busy machine these take their time.
  testTimeout: 60_000,
}
