import type { Code, Problem } from '../errors.ts'

type DockerError = { pattern: RegExp; code: Code; what: string; why: string; fix: string }

/** Error messages of Docker and Compose in various versions; `$1` and `$2` are the parts in parentheses. */
const ERRORS: readonly DockerError[] = [
  {
    pattern: /Docker holds port (\d+) for no container/,
    code: 'port-left-over',
    ...leftOverPort('$1'),
  },
  {
    pattern: /port (\d+) is published by the container (\S+)/,
    code: 'port-taken',
    what: 'Port $1 of the host is in use',
    why: 'the container $2 publishes it',
    fix: 'publish another port in the Compose file, or stop that container on the host: docker stop $2',
  },
  {
    pattern:
      /(?:bind for|listen \w+|host port(?: for)?) \S*?:(\d+)\b.*(?:port is already allocated|address already in use)/i,
    code: 'port-taken',
    what: 'Port $1 of the host is in use',
    why: 'another project, or a program outside of Docker such as nginx, listens there',
    fix: 'publish another port in the Compose file, or stop what listens; on the host, find it with `docker ps --filter publish=$1` or, as root, `ss -ltnp`',
  },
  {
    pattern: /container name "\/?([^"]+)" is already in use by container/,
    code: 'name-taken',
    what: 'A container named $1 is on the host already, and is not of this project',
    why: 'it was started by hand or by another project, and the Compose file has `container_name: $1`',
    fix: 'remove `container_name` from the Compose file; or remove that container on the host: docker rm -f $1',
  },
  {
    pattern: /(network|volume) "?([\w.-]+)"? (?:declared as external, but could not be found|not found)/,
    code: 'external-missing',
    what: 'The external $1 $2 is not on the host',
    why: 'the Compose file says `external: true`, so Compose does not create it',
    fix: 'on the host: docker $1 create $2; or correct the name, or remove `external: true`',
  },
  {
    pattern: /container rootfs is marked read-only/,
    code: 'compose-invalid',
    what: 'Compose could not write a config or secret into a container with `read_only: true`',
    why: 'content from `content:` or `environment:` is copied into the container, but its file system is read-only',
    fix: 'put the text into a file of the repository and name it with `file:`, which is mounted; or remove `read_only: true`',
  },
  {
    pattern: /: error: (?:no such option|unrecognized arguments): -c\b/,
    code: 'django-too-old',
    what: 'Django in the image is older than 1.10',
    why: '`manage.py shell` does not know the option `-c`; 2.2 is the oldest Django that can be deployed',
    fix: 'build the image with Django 2.2 or later',
  },
  {
    pattern: /\| exec (\/\S+): no such file or directory$/,
    code: 'container-exited',
    what: 'The program $1 of a container cannot be started',
    why: 'it is not in the image; or the program that its first line names is not, which is also how Windows line ends (CRLF) look',
    fix: 'for a script of the repository: write `*.sh text eol=lf` into .gitattributes, then run git add --renormalize . and commit',
  },
  {
    pattern: /exec: "([^"]+)": (?:executable file not found|permission denied|stat .*: no such file|is a directory)/,
    code: 'container-exited',
    what: 'The program $1 of a container cannot be started',
    why: 'it is not in the image, or its file is not executable',
    fix: 'correct `command:` or `entrypoint:` in the Compose file, or the Dockerfile; for a script of the repository: git update-index --chmod=+x FILE, and commit',
  },
]

/** A port that no container publishes and that Docker still holds. */
export function leftOverPort(port: string): { what: string; why: string; fix: string } {
  return {
    what: `Docker holds port ${port} of the host, although no container publishes it`,
    why: 'a power loss or a crash during the start of a container left the port behind in Docker',
    fix: 'restart Docker on the host, as root: systemctl restart docker (containers with a restart policy start again with it); then run the job again',
  }
}

/** The first error of Docker on the host that a user can fix. */
export function explainDockerError(text: string): [Code, Problem] | undefined {
  for (const { pattern, code, ...texts } of ERRORS) {
    for (const line of text.split('\n')) {
      const found = pattern.exec(line)
      if (!found) continue
      const fill = (template: string): string =>
        template.replace(/\$([12])/g, (_, place: string) => found[Number(place)] ?? '')
      return [
        code,
        { what: fill(texts.what), seen: line.trim().slice(0, 500), why: fill(texts.why), fix: fill(texts.fix) },
      ]
    }
  }
  return undefined
}
