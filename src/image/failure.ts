import { posix } from 'node:path'
import { dockerfileOf } from '../compose/build.ts'
import type { Project } from '../compose/project.ts'
import { interpolate } from '../compose/variable.ts'
import { DeployError, type Place } from '../errors.ts'
import type { Target } from './bake.ts'

const SHOWN = 25

/** Turns the output of buildx into an error with the target, the last lines and the place in the Dockerfile. */
export function explainBuild(output: string, targets: readonly Target[], project: Project): DeployError {
  const lines = output.split('\n').map((line) => line.trimEnd())
  const target = failing(lines, targets)
  const annotation = target && placeIn(lines, target, project)
  const at = annotation ? ` (${annotation.file} line ${annotation.line})` : ''
  return new DeployError('build-failed', {
    what: target ? `The image of service ${target.group.name} could not be built${at}` : 'The build failed',
    seen: shownOf(lines).join('\n'),
    ...advice(output, project, target),
    annotation,
  })
}

/** The output of the failing command, which may stand far above the end; else the last lines. */
function shownOf(lines: readonly string[]): readonly string[] {
  const filled = lines.filter((line) => line !== '')
  const step = filled.map((line) => /^#(\d+) ERROR: /.exec(line)?.[1]).findLast((found) => found !== undefined)
  if (step === undefined) return filled.slice(-SHOWN)
  const own = filled.filter((line) => line.startsWith(`#${step} `))
  return own.map((line) => line.replace(/^#\d+ (\d+\.\d+ )?/, '')).slice(-SHOWN)
}

function failing(lines: readonly string[], targets: readonly Target[]): Target | undefined {
  const [only, ...others] = targets
  if (others.length === 0) return only
  const text = lines.findLast((line) => /^ > \[|^ERROR: target /.test(line)) ?? ''
  const [, step, named] = /^ > \[([^\s\]]+)|^ERROR: target ([^\s:]+):/.exec(text) ?? []
  return targets.find(({ name }) => name === (step ?? named))
}

function placeIn(lines: readonly string[], target: Target, project: Project): Place | undefined {
  const found = lines.map((line) => /^(\S*[^\s/:]+):(\d+)$/.exec(line)).findLast((match) => match !== null)
  const line = Number(found?.[2])
  const where = dockerfileOf(target.group.build)
  if (!found || where.inline !== undefined) return undefined
  const context = interpolate(where.context)
  const dockerfile = interpolate(where.dockerfile)
  if (context === undefined || dockerfile === undefined || /^\/|:/.test(context + dockerfile)) return undefined
  return { file: posix.join(project.folder, context, dockerfile), line }
}

type Advice = { why: string; fix: string }

/** Known causes by the output. `$1` is the part that the pattern captures. */
const ADVICE: readonly [RegExp, Advice][] = [
  [
    /no space left on device/,
    { why: 'the disk of the runner is full', fix: 'free space before this step, or make the image smaller' },
  ],
  [
    /pull access denied|insufficient_scope|401 Unauthorized/,
    {
      why: 'a base image is private or its name is wrong',
      fix: 'correct the name behind FROM in the Dockerfile, or log in to its registry before this step (docker/login-action)',
    },
  ],
  [
    /unable to prepare context: path "[^"]*?([^/"]+)" not found/,
    {
      why: 'the checkout has no folder $1 where `context:` says',
      fix: 'correct `context:` in the build section of the Compose file, or commit the folder',
    },
  ],
  [
    /failed to read dockerfile: open ([^\s:]+)/,
    {
      why: 'the build context has no file $1',
      fix: 'correct `dockerfile:` in the Compose file, whose path starts from `context:`, or commit the file',
    },
  ],
  [
    /target stage "?([^\s"]+)"? could not be found/,
    { why: 'the Dockerfile has no stage $1', fix: 'correct `target:` in the Compose file, or the input `set`' },
  ],
  [
    /failed to calculate checksum of ref .*"([^"]+)": not found/,
    {
      why: '$1 is not in the build context: it is not committed, or .dockerignore leaves it out',
      fix: 'commit it or correct .dockerignore; a path of COPY starts from `context:`',
    },
  ],
  [
    /exec format error/,
    {
      why: 'the image is for a different processor from the runner, so its programs cannot run here',
      fix: 'add docker/setup-qemu-action before this step, or run the job on a runner of that architecture',
    },
  ],
]

function advice(output: string, { files }: Project, target: Target | undefined): { why?: string; fix: string } {
  for (const [pattern, { why, fix }] of ADVICE) {
    const found = pattern.exec(output)
    const fill = (text: string): string => text.replaceAll('$1', () => found?.[1] ?? '')
    if (found) return { why: fill(why), fix: fill(fix) }
  }
  const command = `docker compose ${files.map((file) => `-f ${file}`).join(' ')} build ${target?.group.name ?? ''}`
  return { fix: `run this in a fresh clone to see the same failure: ${command.trim()}` }
}
