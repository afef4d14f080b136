import { createHash } from 'node:crypto'
import { sourcesOf } from './definition.ts'
import { isValues, pairsOf, textOf, valuesOf, type Values } from './document.ts'

/** The label with a hash of the files that a service gets as configs and secrets. */
const LABEL = 'deploy-django.files'

/**
 * Marks services that are not built here with the content addresses of their configs and secrets. Compose 2.26 compares
 * only the names of these, so it would keep a container that has the older files. `model` is pinned.
 */
export function markFiles(model: Values, built: readonly string[]): Values {
  const services = Object.entries(valuesOf(model['services'])).map(([service, found]) => {
    const values = valuesOf(found)
    const paths = (['configs', 'secrets'] as const).flatMap((kind) =>
      sourcesOf(values[kind]).map((name) => textOf(valuesOf(valuesOf(model[kind])[name])['file']) ?? ''),
    )
    const shipped = paths.filter((path) => path.includes('.deploy/files/'))
    if (built.includes(service) || shipped.length === 0) return [service, found]
    const hash = createHash('sha256').update(shipped.join('\n')).digest('hex')
    return [service, { ...values, labels: { ...labelsOf(values), [LABEL]: hash } }]
  })
  return { ...model, services: Object.fromEntries(services) }
}

/** The service without its mark, which does not change its definition. */
export function withoutMark(values: Values): Values {
  const { [LABEL]: mark, ...own } = labelsOf(values)
  if (mark === undefined) return values
  const { labels: _, ...others } = values
  return Object.keys(own).length === 0 ? others : { ...others, labels: own }
}

function labelsOf({ labels }: Values): Values {
  if (isValues(labels)) return labels
  return Object.fromEntries([...pairsOf(labels)].map(([name, value]) => [name, value ?? '']))
}
