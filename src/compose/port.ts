import { isValues, listOf, textOf } from './document.ts'
import type { Project } from './project.ts'
import { interpolate, splitOutside } from './variable.ts'

/** An entry of `ports:`, its parts as written. */
export type Port = {
  /** The host's side, or a range; undefined when Docker chooses a free port. */
  published: string | undefined
  /** The container's side, or a range. */
  target: string
  /** The address of the host; undefined for all of them. */
  address: string | undefined
  protocol: string
}

type Env = Readonly<Record<string, string | undefined>>

/** Reads `ports:`, in which an entry may be short or long. */
export function readPorts(entries: unknown): readonly Port[] {
  return listOf(entries).flatMap((entry) => {
    if (!isValues(entry)) return readShort(textOf(entry) ?? '')
    return {
      published: textOf(entry['published']),
      target: textOf(entry['target']) ?? '',
      address: textOf(entry['host_ip']),
      protocol: textOf(entry['protocol']) ?? 'tcp',
    }
  })
}

/** `[address:][published:]target[/protocol]`; an IPv6 address is in brackets. */
function readShort(text: string): readonly Port[] {
  const [bracketed] = /^\[[^\]]*\]:/.exec(text) ?? []
  const parts = splitOutside(text.slice(bracketed?.length ?? 0), ':')
  const [target = '', protocol = 'tcp'] = splitOutside(parts.at(-1) ?? '', '/')
  return [{ published: parts.at(-2), target, address: bracketed?.slice(0, -1) ?? parts.at(-3), protocol }]
}

/** The container ports of published TCP ports; of a range, the first. */
export function targetPorts(ports: readonly Port[]): readonly number[] {
  const published = ports.filter((port) => port.published !== undefined && port.protocol === 'tcp')
  return [...new Set(published.flatMap(({ target }) => firstOf(target, {})))]
}

/** The host ports of all services; of a range, the first. Ports that need an unknown variable are left out. */
export function publishedPorts({ services }: Project, env: Env): readonly number[] {
  const ports = [...services.values()].flatMap((service) => service.portEntries)
  return ports.flatMap(({ published }) => firstOf(published ?? '', env))
}

/**
 * TCP ports that active services publish on every address of the host. Ranges are left out: Docker chooses the port at
 * the start of the container.
 */
export function takenPorts({ services }: Project, active: readonly string[], env: Env): readonly number[] {
  const ports = [...services.values()].flatMap((service) => (active.includes(service.name) ? service.portEntries : []))
  const everywhere = ports.filter(({ address, protocol }) => address === undefined && protocol === 'tcp')
  return [
    ...new Set(everywhere.flatMap(({ published }) => (isRange(published, env) ? [] : firstOf(published ?? '', env)))),
  ]
}

/** The first host port, as written, that only one container of the service can have. */
export function fixedPort(ports: readonly Port[]): string | undefined {
  return ports.find(({ published }) => published && !published.includes('-'))?.published
}

const isRange = (text: string | undefined, env: Env): boolean => (interpolate(text ?? '', env) ?? '').includes('-')

function firstOf(text: string, env: Env): readonly number[] {
  const [, digits] = /^(\d{1,5})(?:-\d+)?$/.exec(interpolate(text, env) ?? '') ?? []
  return digits === undefined ? [] : [Number(digits)]
}
