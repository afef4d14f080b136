import * as v from 'valibot'
import { parseJson } from '../schema.ts'

/** A mount of a container. `source` is the name of a volume or a path on the host. */
export type Mounted = {
  kind: 'volume' | 'bind'
  source: string
  target: string
  readOnly: boolean
  /** The folder that a volume stands for (`driver_opts`). */
  device?: string
}

/** A container of any Compose project on the host, except one-off containers. */
export type Container = {
  id: string
  project: string
  service: string
  /** The folder from which relative paths in its Compose files start. */
  folder: string
  files: readonly string[]
  /** The files given with `--env-file`; none means `.env`. */
  envFiles: readonly string[]
  running: boolean
  /** The image's id, and its name in the Compose file. */
  image: string
  imageName: string
  mounts: readonly Mounted[]
  /** The ports that it publishes on the host. */
  ports: readonly number[]
  /** The names of its networks. */
  networks: readonly string[]
}

/** A label that the container lacks is null. */
const text = v.pipe(
  v.nullish(v.string()),
  v.transform((found) => found ?? ''),
)

const described = v.tuple([
  v.string(),
  // Labels of Compose: project, service, folder, files and env files.
  text,
  text,
  text,
  text,
  text,
  v.boolean(),
  v.string(),
  v.string(),
  v.nullable(
    v.array(
      v.object({
        Type: v.string(),
        Name: v.optional(v.string(), ''),
        Source: v.optional(v.string(), ''),
        Destination: v.string(),
        RW: v.optional(v.boolean(), true),
      }),
    ),
  ),
  v.nullable(v.record(v.string(), v.nullable(v.array(v.object({ HostPort: text }))))),
  // Null ends the list.
  v.array(v.nullable(v.string())),
])

type Described = v.InferOutput<typeof described>

/** Reads what `list_all_containers` of transaction/compose.sh prints for one container. */
export function readContainer(text: string): Container {
  const [id, project, service, folder, files, envFiles, running, image, imageName, mounts, ports, networks] = parseJson(
    described,
    text,
    { what: 'The description of a container by Docker on the host' },
  )
  return {
    id,
    project,
    service,
    folder,
    files: pathsOf(files),
    envFiles: pathsOf(envFiles),
    running,
    image,
    imageName,
    mounts: mounts?.flatMap(toMounted) ?? [],
    ports: publishedIn(ports),
    networks: networks.filter((name) => name !== null),
  }
}

/** Whether one of our releases created it, not a person. */
export function isOurs({ files }: Container): boolean {
  return files.some((file) => file.includes('/.deploy/releases/'))
}

function pathsOf(text: string): readonly string[] {
  return text.split(',').filter((path) => path !== '')
}

function toMounted(mount: NonNullable<Described[9]>[number]): readonly Mounted[] {
  const { Type: kind, Destination: target, RW } = mount
  if (kind !== 'volume' && kind !== 'bind') return []
  return [{ kind, source: kind === 'volume' ? mount.Name : mount.Source, target, readOnly: !RW }]
}

/** Skips ports that Docker chooses when the container starts. */
function publishedIn(bindings: Described[10]): readonly number[] {
  const all = Object.values(bindings ?? {}).flatMap((each) => each ?? [])
  return [...new Set(all.map(({ HostPort }) => Number(HostPort)).filter((port) => Number.isInteger(port) && port > 0))]
}
