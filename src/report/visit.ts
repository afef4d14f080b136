/** Asks a public address as a visitor would; why it does not answer, or undefined when it does. */
export async function visit(
  url: string,
  get: (url: string) => Promise<{ status: number }>,
  pause: (milliseconds: number) => Promise<unknown>,
): Promise<string | undefined> {
  // What is in front of the server may need a moment to see that the app is back.
  for (let tries = 1; ; tries += 1) {
    const trouble = await get(url).then(judge, explainFailure)
    if (trouble === undefined || tries === TRIES) return trouble
    await pause(PAUSE_MS)
  }
}

const TRIES = 5
const PAUSE_MS = 2_000

/** 400 is how Django answers a Host that it does not allow; a page that wants a login, or is not there, is an answer. */
function judge({ status }: { status: number }): string | undefined {
  return status === 400 || status >= 500 ? `it answers ${status}` : undefined
}

function explainFailure(failure: unknown): string {
  if (!(failure instanceof Error)) return String(failure)
  return failure.cause instanceof Error ? failure.cause.message : failure.message
}
