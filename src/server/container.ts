import { isValues, listOf, textOf, textsOf, valuesOf } from '../compose/document.ts'

/** Something mounted into a container: `source` is the name of a volume or a path on the server. */
export type Mounted = {
  kind: 'volume' | 'bind'
  source: string
  target: string
  readOnly: boolean
  /** The folder that a volume stands for (`driver_opts`). */
  device?: string
}

/** A container of some Compose project on the server; one-off ones are left out. */
export type Container = {
  id: string
  project: string
  service: string
  /** What relative paths of its Compose files start from. */
  folder: string
  files: readonly string[]
  /** Given with `--env-file`; none stands for `.env`. */
  envFiles: readonly string[]
  running: boolean
  /** The image's id, and how the Compose file named it. */
  image: string
  imageName: string
  mounts: readonly Mounted[]
  /** Published on the server. */
  ports: readonly number[]
  /** Names of the networks that it is in. */
  networks: readonly string[]
}

/** Reads what `look_containers` of transaction/look.sh printed about one. */
export function readContainer(text: string): Container {
  const fields = listOf(JSON.parse(text))
  const [id, project, service, folder, files, envFiles] = fields.map((field) => textOf(field) ?? '')
  const [image, imageName] = fields.slice(7).map((field) => textOf(field) ?? '')
  return {
    id: id ?? '',
    project: project ?? '',
    service: service ?? '',
    folder: folder ?? '',
    files: pathsOf(files),
    envFiles: pathsOf(envFiles),
    running: fields[6] === true,
    image: image ?? '',
    imageName: imageName ?? '',
    mounts: listOf(fields[9]).flatMap(readMounted),
    ports: [...new Set(Object.values(valuesOf(fields[10])).flatMap(listOf).flatMap(readPort))],
    networks: textsOf(fields[11]),
  }
}

/** Whether one of our releases made it, rather than somebody by hand. */
export function isOurs({ files }: Container): boolean {
  return files.some((file) => file.includes('/.deploy/releases/'))
}

function pathsOf(text = ''): readonly string[] {
  return text.split(',').filter((path) => path !== '')
}

function readMounted(mount: unknown): readonly Mounted[] {
  if (!isValues(mount)) return []
  const [kind, target, readOnly] = [mount['Type'], textOf(mount['Destination']) ?? '', mount['RW'] === false]
  if (kind !== 'volume' && kind !== 'bind') return []
  return [{ kind, source: textOf(mount[kind === 'volume' ? 'Name' : 'Source']) ?? '', target, readOnly }]
}

function readPort(binding: unknown): readonly number[] {
  const port = Number(textOf(valuesOf(binding)['HostPort']))
  return Number.isInteger(port) && port > 0 ? [port] : []
}
