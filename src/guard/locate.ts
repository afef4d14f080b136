import type { Repository } from '../compose/repository.ts'
import { copyWith, type DeployError, type Place } from '../errors.ts'
import { placeOfMigration } from './approval.ts'

/** Adds the place to a failure: the migration that failed, or else the last traceback line inside the project. */
export function locate(
  failure: DeployError,
  { files }: Pick<Repository, 'files'>,
  failed?: { app: string; name: string; line?: number | null | undefined },
): DeployError {
  if (failure.annotation) return failure
  const annotation =
    (failed && placeOfMigration({ files }, failed, failed.line)) ??
    placeInTraceback(`${failure.seen ?? ''}\n${failure.why ?? ''}`, files)
  return annotation ? copyWith(failure, { annotation }) : failure
}

/** Frames of installed packages are skipped: the cause is in the project's own code. */
const PACKAGE = /\/(?:site|dist)-packages\/|\/lib\/python\d/

/** A traceback names the deepest frame last. */
function placeInTraceback(text: string, files: ReadonlyMap<string, unknown>): Place | undefined {
  const frames = [...text.matchAll(/File "(\/[^"\n]+)", line (\d+)/g)]
  for (const [, path = '', line] of frames.reverse()) {
    const file = PACKAGE.test(path) ? undefined : findFile(path, files)
    if (file !== undefined) return { file, line: Number(line) }
  }
  return undefined
}

/** The file with the longest common ending: the image has the code in another folder, often without `src`. */
function findFile(path: string, files: ReadonlyMap<string, unknown>): string | undefined {
  const parts = path.split('/').filter((part) => part !== '')
  for (let from = 0; from < parts.length; from += 1) {
    const end = parts.slice(from).join('/')
    const [found, other] = [...files.keys()].filter((file) => `/${file}`.endsWith(`/${end}`))
    if (found !== undefined) return other === undefined ? found : undefined
  }
  return undefined
}
