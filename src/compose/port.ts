import { isValues, listOf, textOf } from './document.ts'
import type { Project } from './project.ts'
import { interpolate, splitOutside } from './variable.ts'

/** The server's side of all published ports, the first of a range; those that hang on an unknown variable are left out. */
export function publishedPorts(project: Project, env: Readonly<Record<string, string | undefined>>): readonly number[] {
  const entries = [...project.services.values()].flatMap(({ values }) => listOf(values['ports']))
  return entries.flatMap((entry) => {
    const text = isValues(entry)
      ? textOf(entry['published'])
      : splitOutside((textOf(entry) ?? '').replace(/\[[^\]]*\]:/, ''), ':').at(-2)
    const [, digits] = /^(\d{1,5})(?:-\d+)?$/.exec(interpolate(text ?? '', env) ?? '') ?? []
    return digits === undefined ? [] : [Number(digits)]
  })
}
