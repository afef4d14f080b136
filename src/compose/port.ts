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

/** The TCP ports that an active service takes on every address of the host. One of a range is chosen when the container starts. */
export function takenPorts(
  project: Project,
  active: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): readonly number[] {
  const entries = [...project.services.values()].flatMap(({ name, values }) =>
    active.includes(name) ? listOf(values['ports']) : [],
  )
  return [...new Set(entries.flatMap((entry) => takenPort(entry, env)))]
}

function takenPort(entry: unknown, env: Readonly<Record<string, string | undefined>>): readonly number[] {
  const text = interpolate(isValues(entry) ? (textOf(entry['published']) ?? '') : (textOf(entry) ?? ''), env) ?? ''
  if (isValues(entry) && (entry['host_ip'] !== undefined || (entry['protocol'] ?? 'tcp') !== 'tcp')) return []
  const [, port] = (isValues(entry) ? /^(\d{1,5})$/ : /^(\d{1,5}):\d{1,5}(?:\/tcp)?$/).exec(text) ?? []
  return port === undefined ? [] : [Number(port)]
}
