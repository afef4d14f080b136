import { posix } from 'node:path'
import { textOf } from '../compose/document.ts'
import type { Project } from '../compose/project.ts'
import { interpolate } from '../compose/variable.ts'
import { DeployError, type Place } from '../errors.ts'
import type { Target } from './bake.ts'

const SHOWN = 25

/** What buildx printed, as a failure with the target, the last lines and the place in the Dockerfile. */
export function explainBuild(output: string, targets: readonly Target[], project: Project): DeployError {
  const lines = output.split('\n').map((line) => line.trimEnd())
  const target = failing(lines, targets)
  const annotation = target && placeIn(lines, target, project)
  const at = annotation ? ` (${annotation.file} line ${annotation.line})` : ''
  return new DeployError('build-failed', {
    what: target ? `The image of service ${target.group.name} could not be built${at}` : 'The build failed',
    seen: lines
      .filter((line) => line !== '')
      .slice(-SHOWN)
      .join('\n'),
    ...advice(output),
    annotation,
  })
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
  const { build } = target.group
  if (!found || build['dockerfile_inline'] !== undefined) return undefined
  const context = interpolate(textOf(build['context']) ?? '.')
  const dockerfile = interpolate(textOf(build['dockerfile']) ?? 'Dockerfile')
  if (context === undefined || dockerfile === undefined || /^\/|:/.test(context + dockerfile)) return undefined
  return { file: posix.join(project.folder, context, dockerfile), line }
}

function advice(output: string): { why?: string; fix?: string } {
  const [, variable] = /required variable (\w+) is missing/.exec(output) ?? []
  if (variable !== undefined) {
    return {
      why: `a build section needs ${variable}, and the step does not have it`,
      fix: `give it to the step: env: { ${variable}: … }, or a default in the Compose file: \${${variable}:-…}`,
    }
  }
  if (/no space left on device/.test(output)) {
    return { why: 'the disk of the runner is full', fix: 'free space before this step, or make the image smaller' }
  }
  if (/pull access denied|insufficient_scope|401 Unauthorized/.test(output)) {
    return { why: 'a base image is private or its name is wrong', fix: 'log in to its registry before this step' }
  }
  return { fix: 'run docker compose build in a fresh checkout to see the same failure' }
}
