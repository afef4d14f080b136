import type { HealthUrl } from '../inputs/values.ts'
import type { App } from '../compose/app.ts'
import type { Service } from '../compose/service.ts'
import type { Settings } from './document.ts'

/** How the health check requests the app. */
export type HealthQuestion = {
  url: HealthUrl
  headers: Readonly<Record<string, string>>
  status: readonly string[]
}

/** The health check that the inputs request. */
export function healthQuestion(inputs: {
  healthUrl: HealthUrl
  healthHeaders: Readonly<Record<string, string>>
  healthStatus: readonly string[]
}): HealthQuestion {
  return { url: inputs.healthUrl, headers: inputs.healthHeaders, status: inputs.healthStatus }
}

/** The default of the input `health-status`. */
const DEFAULT_STATUS = ['2xx', '3xx']

/** Whether no input asks for a health check of its own. */
export function isAuto({ url, headers, status }: HealthQuestion): boolean {
  return url.kind === 'auto' && Object.keys(headers).length === 0 && status.join() === DEFAULT_STATUS.join()
}

/** Where requests enter: the ports in a container of each service that the Compose file publishes. */
type Fronts = readonly (readonly [service: string, port: number])[]

/** The service in which Django answers HTTP. */
type WebService = Pick<Service, 'hostNames' | 'sharedNetwork'>

/**
 * The text of http.json for the probe; undefined without a health check over HTTP. Given headers override those from
 * the settings.
 */
export function askHealth(
  question: HealthQuestion,
  fronts: Fronts,
  settings: Settings,
  app: App,
  web: Service | undefined,
): string | undefined {
  const { url } = question
  if (url.kind === 'none') return undefined
  if (url.kind === 'urls') return JSON.stringify(write(question, url.urls, fronts, settings, web))
  return JSON.stringify({ ...write(question, [], fronts, settings, web), siblings: siblingsOf(fronts, app, web) })
}

/**
 * The health check of a trial container, which covers only that container. The proxies in front of the app are checked
 * after the swap. `accept` names the answers that count as healthy until then: `redirects` to https, or `anything` but
 * silence.
 */
export function askTrial(
  question: HealthQuestion,
  fronts: Fronts,
  settings: Settings,
  web: WebService | undefined,
): string | undefined {
  const { url } = question
  if (url.kind === 'none') return undefined
  const names = web?.hostNames ?? []
  const published = fronts.filter(([service]) => names.includes(service))
  const own = url.kind === 'urls' ? url.urls.filter((address) => isOwn(address, names)) : []
  const asked = write(question, own, published, settings, web)
  if (url.kind === 'urls') return JSON.stringify(own.length > 0 ? asked : { ...asked, accept: 'anything' })
  return JSON.stringify(published.length < fronts.length ? { ...asked, accept: 'redirects' } : asked)
}

function write(
  question: HealthQuestion,
  urls: readonly string[],
  fronts: Fronts,
  settings: Settings,
  web: WebService | undefined,
): object {
  const namesHost = Object.keys(question.headers).some((name) => name.toLowerCase() === 'host')
  return {
    format: 1,
    urls,
    fronts,
    published: publishedOf(fronts, web),
    headers: { ...without(question.headers, headersFor(settings)), ...question.headers },
    hosts: namesHost ? [] : hostsFor(settings),
    allowed: settings.allowedHosts,
    status: question.status,
  }
}

/** The ports of the web service of which one must be listened on. A service in another network publishes none. */
function publishedOf(fronts: Fronts, web: WebService | undefined): readonly number[] {
  if (web === undefined || web.sharedNetwork !== undefined) return []
  return fronts.flatMap(([service, port]) => (web.hostNames.includes(service) ? [port] : []))
}

/** The published ports of the other services with the image of the web service: each has to answer, too. */
function siblingsOf(fronts: Fronts, app: App, web: Service | undefined): Fronts {
  return fronts.filter(([service]) => service !== web?.name && app.services.get(service)?.image === web?.image)
}

/** Whether an address leads to the container that runs the health check. */
function isOwn(address: string, names: readonly string[]): boolean {
  const { hostname } = new URL(address)
  return [...names.map((name) => name.toLowerCase()), 'localhost', '127.0.0.1', '[::1]'].includes(hostname)
}

/** A name or address that Django accepts as Host: no port, no underscore, no star; a leading dot is a wildcard. */
const USABLE = /^\.?(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?|\[[a-f0-9:.]+\])$/i
const IS_ADDRESS = /^(?:[\d.]+|\[.*\])$/
/** An entry that can match a Host. A Host never has a scheme, a port, a path, a space or a star. */
const MATCHES = /^(?:\*|\.?[a-z0-9._-]+|\[[a-f0-9:.]+\])$/i

/** Entries of ALLOWED_HOSTS that match no visitor. An empty entry is only the rest of a split list. */
export function deadHosts({ allowedHosts }: Settings): readonly string[] {
  return allowedHosts.filter((entry) => entry !== '' && !MATCHES.test(entry))
}

/** Enough for the names that a container gives itself. */
const MOST_HOSTS = 5

/**
 * The Hosts to send, one after another until one is accepted; none when the name in the address will do. A domain is
 * tried alone, because visitors send it. Container names can be wrong: they come from the settings of a container that
 * no longer exists.
 */
export function hostsFor({ allowedHosts, debug }: Settings): string[] {
  if (allowedHosts.length === 0) return debug ? ['localhost'] : []
  const usable = allowedHosts.filter((name) => USABLE.test(name)).map((name) => name.replace(/^\./, ''))
  const domain = usable.find((name) => name.includes('.') && !IS_ADDRESS.test(name))
  if (domain !== undefined) return [domain]
  return allowedHosts.includes('*') ? [] : usable.slice(0, MOST_HOSTS)
}

/**
 * The header that marks a request as https. Needed when the site redirects to https and its proxy sends that header.
 */
export function headersFor(settings: Settings): Record<string, string> {
  if (!settings.sslRedirect || !settings.proxySslHeader) return {}
  const [name, value] = settings.proxySslHeader
  return { [headerName(name)]: value }
}

/** The headers that are not given already, ignoring case. */
function without(given: Readonly<Record<string, string>>, headers: Record<string, string>): Record<string, string> {
  const names = Object.keys(given).map((name) => name.toLowerCase())
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name.toLowerCase())))
}

/** Converts WSGI's `HTTP_X_FORWARDED_PROTO` into the header `X-Forwarded-Proto`. */
function headerName(wsgi: string): string {
  const words = wsgi
    .replace(/^HTTP_/, '')
    .toLowerCase()
    .split('_')
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('-')
}
