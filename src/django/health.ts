import type { HealthUrl } from '../values.ts'
import type { Settings } from './document.ts'

/** How the app is asked for its health. */
export type HealthQuestion = {
  url: HealthUrl
  headers: Readonly<Record<string, string>>
  status: readonly string[]
}

/** The text of http.json for the probe; undefined when nobody asks. Given headers win over those from the settings. */
export function askHealth(
  question: HealthQuestion,
  fronts: readonly (readonly [service: string, port: number])[],
  settings: Settings,
): string | undefined {
  if (question.url.kind === 'none') return undefined
  const namesHost = Object.keys(question.headers).some((name) => name.toLowerCase() === 'host')
  return JSON.stringify({
    format: 1,
    urls: question.url.kind === 'urls' ? question.url.urls : [],
    fronts,
    headers: { ...without(question.headers, headersFor(settings)), ...question.headers },
    hosts: namesHost ? [] : hostsFor(settings),
    allowed: settings.allowedHosts,
    status: question.status,
  })
}

/** A name or an address that Django accepts as Host: without a port, an underscore or a star; a dot in front is a wildcard. */
const USABLE = /^\.?(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?|\[[a-f0-9:.]+\])$/i
const IS_ADDRESS = /^(?:[\d.]+|\[.*\])$/
/** Enough for the names that a container gives itself. */
const MOST_HOSTS = 5

/**
 * The Hosts to send, in turn until one is not refused; none where the name in the address will do. A domain is what visitors
 * send, so it decides alone. Names of a container may be those of another one: the settings were read in a container that is gone.
 */
export function hostsFor({ allowedHosts, debug }: Settings): string[] {
  if (allowedHosts.length === 0) return debug ? ['localhost'] : []
  const usable = allowedHosts.filter((name) => USABLE.test(name)).map((name) => name.replace(/^\./, ''))
  const domain = usable.find((name) => name.includes('.') && !IS_ADDRESS.test(name))
  if (domain !== undefined) return [domain]
  return allowedHosts.includes('*') ? [] : usable.slice(0, MOST_HOSTS)
}

/** The header that marks a request as https, where the site insists on that and a proxy in front of it sends it. */
export function headersFor(settings: Settings): Record<string, string> {
  if (!settings.sslRedirect || !settings.proxySslHeader) return {}
  const [name, value] = settings.proxySslHeader
  return { [headerName(name)]: value }
}

/** The headers that are not given already, in whatever case. */
function without(given: Readonly<Record<string, string>>, headers: Record<string, string>): Record<string, string> {
  const names = Object.keys(given).map((name) => name.toLowerCase())
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name.toLowerCase())))
}

/** `HTTP_X_FORWARDED_PROTO`, as WSGI names a header, as it is sent: `X-Forwarded-Proto`. */
function headerName(wsgi: string): string {
  const words = wsgi
    .replace(/^HTTP_/, '')
    .toLowerCase()
    .split('_')
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('-')
}
