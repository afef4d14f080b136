import type { Code, Problem } from '../errors.ts'

type Complaint = { pattern: RegExp; code: Code; what: string; why: string; fix: string }

/** What versions of Docker and Compose say; `$1` and `$2` are the parts in parentheses. */
const COMPLAINTS: readonly Complaint[] = [
  {
    pattern: /Docker holds port (\d+) for no container/,
    code: 'port-left-over',
    ...leftOverPort('$1'),
  },
  {
    pattern: /port (\d+) is published by the container (\S+)/,
    code: 'port-taken',
    what: 'Port $1 of the server is in use',
    why: 'the container $2 publishes it',
    fix: 'publish another port in the Compose file, or stop that container on the server: docker stop $2',
  },
  {
    pattern:
      /(?:bind for|listen \w+|host port(?: for)?) \S*?:(\d+)\b.*(?:port is already allocated|address already in use)/i,
    code: 'port-taken',
    what: 'Port $1 of the server is in use',
    why: 'another project, or a program outside of Docker such as nginx, listens there',
    fix: 'publish another port in the Compose file, or end what listens: `docker ps --filter publish=$1` and `ss -ltnp` on the server name it',
  },
  {
    pattern: /container name "\/?([^"]+)" is already in use by container/,
    code: 'name-taken',
    what: 'A container named $1 is on the server already, and is not of this project',
    why: 'it was started by hand or by another project, and the Compose file has `container_name: $1`',
    fix: 'remove `container_name` from the Compose file, or that container on the server: docker rm -f $1',
  },
  {
    pattern: /(network|volume) "?([\w.-]+)"? (?:declared as external, but could not be found|not found)/,
    code: 'external-missing',
    what: 'The external $1 $2 is not on the server',
    why: 'the Compose file says `external: true`, so that Compose does not make it',
    fix: 'on the server: docker $1 create $2; or correct the name, or remove `external: true`',
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
    why: 'it is not in the image, or the program in its first line is not: Windows line ends (CRLF) look so',
    fix: 'for a script of the repository: the line `*.sh text eol=lf` in .gitattributes, then git add --renormalize .',
  },
  {
    pattern: /exec: "([^"]+)": (?:executable file not found|permission denied|stat .*: no such file|is a directory)/,
    code: 'container-exited',
    what: 'The program $1 of a container cannot be started',
    why: 'it is not in the image, or its file is not executable',
    fix: 'correct `command:` or `entrypoint:` in the Compose file, or the Dockerfile; for a script of the repository: git update-index --chmod=+x FILE',
  },
]

/** A port that no container publishes and that cannot be had all the same. */
export function leftOverPort(port: string): { what: string; why: string; fix: string } {
  return {
    what: `Docker holds port ${port} of the server, although no container publishes it`,
    why: 'a power loss or a crash in the middle of a start left the port behind in Docker',
    fix: 'restart Docker on the server, as root: systemctl restart docker (running containers restart with it); then run the job again',
  }
}

/** What Docker on the server complains about, when a person can mend it. */
export function explainComplaint(text: string): [Code, Problem] | undefined {
  for (const { pattern, code, ...texts } of COMPLAINTS) {
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
