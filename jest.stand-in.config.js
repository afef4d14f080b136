import unit from './jest.config.js'

/** The host script against a stand-in for Docker, the probe in virtual environments, real sshd: no Docker daemon. */
export default {
  ...unit,
  testSequencer: '<rootDir>/test/longest-first.js',
  roots: ['<rootDir>/test/stand-in'],
  // A bound for what hangs.
  testTimeout: 900_000,
}
