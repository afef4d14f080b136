import standIn from './jest.stand-in.config.js'

/** How much of the TypeScript in src the unit and stand-in tests run. Death and trouble only repeat what other files run. */
export default {
  ...standIn,
  roots: ['<rootDir>/src', '<rootDir>/test/unit', '<rootDir>/test/stand-in'],
  testPathIgnorePatterns: ['transaction/(death|trouble)\\.'],
  collectCoverage: true,
  coverageProvider: 'v8',
  collectCoverageFrom: ['src/**/*.ts'],
  coverageReporters: ['text', 'text-summary'],
}
