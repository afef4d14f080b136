import { posix } from 'node:path'
import { isValues, listOf, textOf, valuesOf, type Values } from './document.ts'
import { interpolate, knownPath, splitOutside } from './variable.ts'

/** Something mounted into a container. The source of a bind mount is as written, variables included. */
export type Mount = {
  kind: 'bind' | 'volume' | 'tmpfs' | 'other'
  source: string | undefined
  target: string
  readOnly: boolean
}

/** Reads one entry of `volumes:`, short or long. */
export function readMount(entry: unknown): Mount | undefined {
  if (typeof entry === 'string') return readShort(entry)
  if (!isValues(entry)) return undefined
  const kind = textOf(entry['type'])
  return {
    kind: kind === 'bind' || kind === 'volume' || kind === 'tmpfs' ? kind : 'other',
    source: textOf(entry['source']),
    target: textOf(entry['target']) ?? '',
    readOnly: entry['read_only'] === true,
  }
}

/** The part with source and target: for `${PUBLIC:-./public:/app/public}`, the default of the variable. */
export function shortForm(text: string): { entry: string; rebuild: (entry: string) => string } {
  const known = splitOutside(text, ':').length === 1 ? knownPath(text) : undefined
  return known?.path.includes(':')
    ? { entry: known.path, rebuild: known.rebuild }
    : { entry: text, rebuild: (to) => to }
}

function readShort(text: string): Mount {
  const [first = '', target, mode = ''] = splitOutside(shortForm(text).entry, ':')
  if (target === undefined) return { kind: 'volume', source: undefined, target: first, readOnly: false }
  const source = interpolate(first)
  // A variable without a default may hold the name of a volume, but usually holds a path.
  const bind = source === undefined || /^[./~]/.test(source)
  const readOnly = mode.split(',').includes('ro')
  return { kind: bind ? 'bind' : 'volume', source: first, target, readOnly }
}

/** Keeps the options of a volume that is a folder of the host. Other options are dropped: they may hold passwords. */
function bindOptions({ type, o, device }: Values): Values {
  return type === 'none' && o === 'bind' && device !== undefined ? { driver_opts: { type, o, device } } : {}
}

const FILE =
  /\.(env|conf|cnf|cfg|ini|toml|ya?ml|json|xml|pem|crt|cer|key|pub|sqlite3?|db|sql|sh|py|txt|htpasswd|template|tmpl|rules)$/

const FILE_NAME = /^(Caddyfile|Corefile|crontab|hosts|passwd|\.?htpasswd|\.pgpass)$/

/** Whether the names say that a file is mounted, not a folder: `./.env:/app/.env` or `./site.conf:/etc/site.conf`. */
export function isFileMount(source: string, target: string): boolean {
  const isFile = (path: string): boolean => FILE.test(path) || FILE_NAME.test(posix.basename(path))
  const isEnv = /^\.env(\.|$)/.test(posix.basename(source))
  return isEnv || (isFile(source) && isFile(interpolate(target) ?? target))
}

/**
 * Targets of mounts with `create_host_path: false`: their source must not be created, so that Docker reports it missing.
 */
export function strictTargets({ volumes }: Values): readonly string[] {
  return listOf(volumes)
    .filter(isValues)
    .filter((entry) => valuesOf(entry['bind'])['create_host_path'] === false)
    .map((entry) => textOf(entry['target']) ?? '')
    .map((target) => interpolate(target) ?? target)
}

/** The mount entry with another source; everything else in it stays. */
export function withSource(entry: unknown, source: string): unknown {
  if (isValues(entry)) return { ...entry, type: 'bind', source }
  if (typeof entry !== 'string') return entry
  const short = shortForm(entry)
  const [, ...rest] = splitOutside(short.entry, ':')
  return short.rebuild([source, ...rest].join(':'))
}

/** Whether the mount hides this path of the container. */
export function covers(mount: Mount, path: string): boolean {
  if (mount.kind === 'tmpfs' || mount.kind === 'other') return false
  const target = withoutSlash(interpolate(mount.target) ?? mount.target)
  return path === target || path.startsWith(target === '/' ? '/' : `${target}/`)
}

/** A normalized path without a slash at its end. */
export const withoutSlash = (path: string): string => posix.normalize(path).replace(/(.)\/$/, '$1')

/** Reduces a model to mounts and container counts, so that the host can print the resolved model without secrets. */
export function onlyMounts(model: Values): Values {
  const each = (key: string, keep: (values: Values) => Values): Values =>
    Object.fromEntries(Object.entries(valuesOf(model[key])).map(([name, values]) => [name, keep(valuesOf(values))]))
  return {
    services: each('services', ({ volumes = [], volumes_from = [], scale, deploy }) => ({
      image: 'none',
      volumes,
      volumes_from,
      ...(scale === undefined ? {} : { scale }),
      ...(valuesOf(deploy)['replicas'] === undefined ? {} : { deploy: { replicas: valuesOf(deploy)['replicas'] } }),
    })),
    volumes: each('volumes', ({ name, external, driver_opts }) => ({
      ...bindOptions(valuesOf(driver_opts)),
      ...(name === undefined ? {} : { name }),
      ...(external === undefined ? {} : { external }),
    })),
  }
}
