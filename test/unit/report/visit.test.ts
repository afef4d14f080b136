import { describe, expect, test } from '@jest/globals'
import { visit } from '../../../src/report/visit.ts'

/** Visits a site that gives these answers one after the other, the last one again and again. */
async function visited(...answers: (number | Error)[]): Promise<{ trouble: string | undefined; pauses: number }> {
  let pauses = 0
  const get = async (): Promise<{ status: number }> => {
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer === undefined || answer instanceof Error) throw answer
    return { status: answer }
  }
  const trouble = await visit('https://example.com/', get, async () => (pauses += 1))
  return { trouble, pauses }
}

describe('visit', () => {
  test.each([200, 301, 401, 404])('%d is an answer', async (status) => {
    expect(await visited(status)).toEqual({ trouble: undefined, pauses: 0 })
  })
  test('what is in front may need a moment', async () => {
    expect(await visited(502, 503, 200)).toEqual({ trouble: undefined, pauses: 2 })
  })
  test.each([400, 500, 502])('%d is none', async (status) => {
    expect(await visited(status)).toEqual({ trouble: `it answers ${status}`, pauses: 4 })
  })
  test('a failure is reported with its cause', async () => {
    const failure = new TypeError('fetch failed', { cause: new Error('certificate has expired') })
    expect((await visited(failure)).trouble).toBe('certificate has expired')
    expect((await visited(new Error('timed out'))).trouble).toBe('timed out')
  })
})
