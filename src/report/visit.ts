/** Requests a public address like a visitor. Returns why it does not answer; undefined when it does. */
export async function visit(
  url: string,
  get: (url: string) => Promise<{ status: number }>,
  pause: (milliseconds: number) => Promise<unknown>,
): Promise<string | undefined> {
  // A proxy may need a moment to notice that the app is back.
  for (let tries = 1; ; tries += 1) {
    const trouble = await get(url).then(judge, explainFailure)
    if (trouble === undefined || tries === TRIES) return trouble
    await pause(PAUSE_MS)
  }
}

const TRIES = 5
const PAUSE_MS = 2_000

/** Django answers 400 to a Host that it does not allow. A login page or a 404 counts as an answer. */
function judge({ status }: { status: number }): string | undefined {
  return status === 400 || status >= 500 ? `it answers ${status}` : undefined
}

function explainFailure(failure: unknown): string {
  if (!(failure instanceof Error)) return String(failure)
  return failure.cause instanceof Error ? failure.cause.message : failure.message
}
