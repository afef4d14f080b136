import { DeployError, type Code, type Problem } from '../errors.ts'
import type { Host } from '../inputs/login.ts'
import type { Finished } from '../process.ts'
import type { Hop } from './ssh-config.ts'

/** Facts about a connection that ssh could not open, or that it lost. */
export type LoginFailure = {
  hop: Hop
  /** ssh's own messages, with `LogLevel DEBUG1`. */
  log: string
  /** The other side's output: a banner, or messages of its PAM. */
  stderr: string
  /** ssh's messages about the connection to the bastion, if there is one. */
  bastionLog?: string | undefined
  /** The public half of `ssh-key`, if it could be read. */
  publicKey?: string | undefined
}

/** Why ssh could not log in, and the fix. The first rule that recognizes the failure explains it. */
export function explainLogin(failure: LoginFailure): DeployError {
  const found = RULES.map((rule) => rule(failure)).find((explained) => explained !== undefined)
  const [code, problem] = found ?? unreachable(failure)
  return new DeployError(code, { seen: wordsOf(failure), ...problem })
}

/** Whether ssh refused the host because of its key. */
export function isHostKeyRefusal({ log }: Pick<LoginFailure, 'log'>): boolean {
  return /Host key verification failed|REMOTE HOST IDENTIFICATION|host key is known/i.test(log)
}

/** ssh's error lines; else the other side's output; else ssh's last action. Never empty. */
export function wordsOf({ log, stderr }: Pick<LoginFailure, 'log' | 'stderr'>): string {
  const lines = linesOf(log)
  const words = lines.filter((line) => !NOTE.test(line))
  const banner = lines.flatMap((line) => /banner line \d+: (.+)/.exec(line)?.[1] ?? [])
  if (words.length > 0) return [...banner.slice(0, 2), ...words.slice(-3)].join('\n')
  const printed = linesOf(stderr)
  if (printed.length > 0) return printed.slice(-3).join('\n')
  return lines.at(-1)?.replace(/^debug\d: /, 'the last action of ssh: ') ?? 'ssh ended without any output'
}

const NOTE = /^debug\d: |^Warning: Permanently added|^Authenticated to |^Transferred: |^Bytes per second/

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== '')
}

type Rule = (failure: LoginFailure) => [Code, Problem] | undefined

const KEY = 'make an Ed25519 key without a passphrase: ssh-keygen -t ed25519 -N "" -f deploy-key'
const RELOAD = 'then `sshd -t && systemctl reload ssh` (on some systems the service is `sshd`)'
const AUTH_LOG = '`journalctl -u ssh -n 20` (on some systems `-u sshd`) on that host'

const nameOf = ({ name }: Hop): string => (name === 'jump' ? 'bastion' : 'host')
const inputOf = ({ name }: Hop): string => (name === 'jump' ? '`jump-host`' : '`host`')
const isKeyAccepted = (log: string): boolean => /^debug1: Server accepts key: /m.test(log)
const isAuthenticated = (log: string): boolean => /^Authenticated to /m.test(log)
const isDenied = (log: string): boolean => /Permission denied|Too many authentication failures/.test(log)
const isClosed = (log: string): boolean => /Connection (?:closed|reset)|Broken pipe|Disconnected from/.test(log)

/** ssh skips a key that it cannot use, so a refusal follows. */
const unusableKey: Rule = ({ log }) => {
  if (/Skipping \S+ key .* not in Pubkey/.test(log)) {
    return [
      'input-invalid',
      {
        what: 'ssh does not use the kind of key in `ssh-key` any more',
        seen: /Skipping .*/.exec(log)?.[0],
        fix: `${KEY}; store the file deploy-key as the secret, and add the line in deploy-key.pub to ~/.ssh/authorized_keys`,
      },
    ]
  }
  if (!/error in libcrypto|invalid format|incorrect passphrase|Load key .*: /i.test(log)) return undefined
  return [
    'input-invalid',
    {
      what: 'ssh cannot read the private key in `ssh-key`',
      why: 'the key has a passphrase, or the secret was copied incompletely',
      fix: `store the whole file again; if it has a passphrase, ${KEY}`,
    },
  ]
}

/** The setting in sshd_config that allows each kind of algorithm. */
const ALGORITHMS: Readonly<Record<string, string>> = {
  'host key type': 'HostKeyAlgorithms',
  'key exchange method': 'KexAlgorithms',
  MAC: 'MACs',
  cipher: 'Ciphers',
}

const noCommonAlgorithm: Rule = ({ hop, log }) => {
  const [, kind = '', offer = ''] = /no matching ([\w ]+?) found(?:\. Their offer: (.*))?/.exec(log) ?? []
  const setting = ALGORITHMS[kind]
  if (setting === undefined) return undefined
  const { address, port } = hop.host
  const newKey =
    kind === 'host key type'
      ? `run \`ssh-keygen -A\`, delete the lines HostKey and ${setting}`
      : `delete the line ${setting}`
  const known =
    kind === 'host key type'
      ? `; then put the output of \`ssh-keyscan -p ${port} ${address}\` into \`known-hosts\``
      : ''
  return [
    'ssh-algorithms',
    {
      what: `The ${nameOf(hop)} ${address} offers no ${kind} that the ssh of this runner accepts`,
      why: `${versionOf(log)} is too old, or its sshd_config allows only ${offer || 'old ones'}`,
      fix: `on that host, as root: ${newKey} from /etc/ssh/sshd_config and the files in /etc/ssh/sshd_config.d, ${RELOAD}${known}. Upgrade an OpenSSH that is older than 6.5`,
    },
  ]
}

function versionOf(log: string): string {
  return /remote software version (\S+)/.exec(log)?.[1] ?? 'its sshd'
}

const oldSignature: Rule = ({ hop, log }) => {
  if (!/no mutual signature/.test(log)) return undefined
  return [
    'ssh-algorithms',
    {
      what: `The ${nameOf(hop)} ${hop.host.address} accepts from an RSA key only signatures that the ssh of this runner no longer makes`,
      seen: /\S+: no mutual signature.*/.exec(log)?.[0],
      why: `${versionOf(log)} is older than OpenSSH 7.2, or PubkeyAcceptedAlgorithms in its sshd_config has only ssh-rsa`,
      fix: `${KEY}; store the file deploy-key as the secret \`ssh-key\`, and add the line in deploy-key.pub to ~/.ssh/authorized_keys of ${hop.host.user}`,
    },
  ]
}

const secondFactor: Rule = ({ hop, log }) => {
  if (!/^Authenticated.* with partial success/m.test(log)) return undefined
  const { user, address } = hop.host
  const methods = methodsIn(log).at(-1) ?? 'something else'
  return [
    'ssh-second-factor',
    {
      what: `The ${nameOf(hop)} ${address} accepts the key of ${user} but also requires a second factor, which a workflow cannot give`,
      seen: `Authenticated using "publickey" with partial success; it still requires: ${methods}`,
      why: '`AuthenticationMethods` in its sshd_config requires more than the key',
      fix: `on that host, as root: let ${user} in with the key alone, in /etc/ssh/sshd_config above any other \`Match\`:\nMatch User ${user}\n  AuthenticationMethods publickey\nMatch all\n${RELOAD}`,
    },
  ]
}

/** The methods that the host would accept, after each attempt. */
function methodsIn(log: string): string[] {
  return [...log.matchAll(/^debug1: Authentications that can continue: (.+)$/gm)].map(([, methods = '']) => methods)
}

const noKeysTaken: Rule = ({ hop, log }) => {
  const [first] = methodsIn(log)
  if (!isDenied(log) || first === undefined || first.split(',').includes('publickey')) return undefined
  return [
    'ssh-login-refused',
    {
      what: `The ${nameOf(hop)} ${hop.host.address} accepts no SSH keys from ${hop.host.user}`,
      why: `its sshd_config has \`PubkeyAuthentication no\`; it accepts only: ${first}`,
      fix: `on that host, as root: set \`PubkeyAuthentication yes\` in /etc/ssh/sshd_config, ${RELOAD}`,
    },
  ]
}

const knownButRefused: Rule = ({ hop, log }) => {
  if (!isDenied(log) || !isKeyAccepted(log)) return undefined
  const { user, address } = hop.host
  const isRoot = user === 'root'
  return [
    'ssh-login-refused',
    {
      what: `The ${nameOf(hop)} ${address} knows this key, but does not let ${user} in`,
      why: isRoot ? 'its sshd_config has `PermitRootLogin no`' : 'a rule of its sshd refuses this user',
      fix: isRoot
        ? `use another user in ${inputOf(hop)}; or, on that host, as root: set \`PermitRootLogin prohibit-password\` in /etc/ssh/sshd_config, ${RELOAD}`
        : `${AUTH_LOG} names the rule`,
    },
  ]
}

const unknownKey: Rule = ({ hop, log, publicKey }) => {
  if (!isDenied(log)) return undefined
  const { user, address } = hop.host
  const line = publicKey ?? 'PUBLIC KEY (ssh-keygen -y -f deploy-key)'
  return [
    'ssh-login-refused',
    {
      what: `The ${nameOf(hop)} ${address} does not accept this key for ${user}`,
      why: 'the public half is not in ~/.ssh/authorized_keys of that user; or others may write to that file, to ~/.ssh or to the home folder; or the user does not exist, or is not in `AllowUsers`',
      fix: `on that host, as ${user}: mkdir -p -m 700 ~/.ssh && echo '${line}' >>~/.ssh/authorized_keys && chmod go-w ~ ~/.ssh ~/.ssh/authorized_keys\nif that is not enough, ${AUTH_LOG} says why`,
    },
  ]
}

const closedAccount: Rule = ({ hop, log, stderr }) => {
  if (!isClosed(log) || !isKeyAccepted(log) || isAuthenticated(log)) return undefined
  const { user, address } = hop.host
  // Only the last line, because a banner may come first.
  const seen = [...linesOf(stderr).slice(-1), wordsOf({ log, stderr })].join('\n')
  if (/account has expired/i.test(stderr)) {
    return [
      'ssh-account',
      {
        what: `The account ${user} on the ${nameOf(hop)} ${address} has expired; its key is accepted`,
        seen,
        why: 'the account has an end date, or its password expired and was not changed in time',
        fix: `on that host, as root: ${KEEP_ACCOUNT(user)}`,
      },
    ]
  }
  return [
    'ssh-account',
    {
      what: `The ${nameOf(hop)} ${address} accepts the key and then refuses the account ${user}`,
      seen,
      why: 'a rule of PAM: /etc/nologin is there while the host shuts down, or /etc/security/access.conf does not name the user',
      fix: `${AUTH_LOG} names the rule`,
    },
  ]
}

/** Sets no end date, and a password that was changed today and never expires. */
const KEEP_ACCOUNT = (user: string): string => `chage -E -1 -I -1 -M -1 -d "$(date +%F)" ${user}`

const brokenOff: Rule = ({ hop, log }) => {
  const isLost = /Timeout, server .* not responding|client_loop: |mux_client_\w+: |Broken pipe/.test(log)
  if (!isLost && !(isAuthenticated(log) && isClosed(log))) return undefined
  return [
    'ssh-unreachable',
    {
      what: `The connection to ${hop.host.address} was lost`,
      why: 'the network between the runner and the host failed, or the host or its sshd was restarted',
      fix: 'run the job again: it first finishes the interrupted deployment',
    },
  ]
}

const behindBastion: Rule = ({ hop, log, stderr, bastionLog = '' }) => {
  const bastion = hop.through
  if (bastion === undefined) return undefined
  const said = linesOf(bastionLog).filter((line) => /open failed: /.test(line))
  const seen = [...said.slice(-1), wordsOf({ log, stderr })].join('\n')
  const { address, port } = hop.host
  const what = `No SSH connection through ${bastion.address} to ${address} port ${port}`
  if (/administratively prohibited/.test(seen)) {
    return [
      'ssh-unreachable',
      {
        what,
        seen,
        why: 'the bastion forwards no connections: `AllowTcpForwarding no` or `PermitOpen` in its sshd_config, or `restrict` in front of the key',
        fix: `on the bastion, as root: in /etc/ssh/sshd_config set \`AllowTcpForwarding yes\` for ${bastion.user}, ${RELOAD}`,
      },
    ]
  }
  return [
    'ssh-unreachable',
    {
      what,
      seen,
      why: 'the bastion knows the host by another name or port, nothing listens there, or a firewall is between them',
      fix: `on the bastion, \`ssh-keyscan -p ${port} ${address}\` must print keys; correct \`host\` or the firewall until it does`,
    },
  ]
}

const unknownName: Rule = ({ hop, log, stderr }) => {
  if (!/Could not resolve hostname/.test(log + stderr)) return undefined
  return [
    'ssh-unreachable',
    {
      what: `The name ${hop.host.address} cannot be resolved`,
      why: 'it is misspelled, or it is known only inside a private network',
      fix: `correct ${inputOf(hop)}, or write the IP address instead of the name`,
    },
  ]
}

const closedEarly: Rule = ({ hop, log }) => {
  if (!/kex_exchange_identification|banner exchange|Not allowed at this time/.test(log)) return undefined
  const { address, port } = hop.host
  const banner = /banner line 0: (.+)/.exec(log)?.[1]
  if (banner !== undefined && !/MaxStartups|Not allowed/.test(banner)) {
    return [
      'ssh-unreachable',
      {
        what: `The program on port ${port} of ${address} is not an SSH server`,
        why: 'another program listens there',
        fix: `write the port of sshd into ${inputOf(hop)}, as user@host:port; \`ss -ltnp\` on that host, as root, shows it`,
      },
    ]
  }
  return [
    'ssh-unreachable',
    {
      what: `${address} closed the connection on port ${port} before a login`,
      why: 'it limits connections (MaxStartups, PerSourcePenalties, fail2ban, hosts.deny), or a program other than sshd listens there',
      fix: `run the job again in a few minutes; if it fails again, ${AUTH_LOG} says why`,
    },
  ]
}

const noRoute: Rule = ({ hop, log }) => {
  if (!/Network is unreachable|No route to host|Cannot assign requested address/.test(log)) return undefined
  return [
    'ssh-unreachable',
    {
      what: `The runner has no route to ${hop.host.address}`,
      why: "the address is IPv6 and the runner has only IPv4, as GitHub's own do; or it belongs to a private network",
      fix: `write a public IPv4 address, or a name that has one, into ${inputOf(hop)}; or use a runner in the network of the host`,
    },
  ]
}

const refused: Rule = ({ hop, log }) => {
  if (!/Connection refused/.test(log)) return undefined
  const { address, port } = hop.host
  return [
    'ssh-unreachable',
    {
      what: `No SSH connection to ${address} port ${port}`,
      why: 'sshd does not run there, listens on another port, or a firewall refuses the runner',
      fix: `\`ss -ltnp\` on that host, as root, shows the port of sshd: write it into ${inputOf(hop)}, as user@host:port`,
    },
  ]
}

function unreachable({ hop }: LoginFailure): [Code, Problem] {
  const { address, port } = hop.host
  return [
    'ssh-unreachable',
    {
      what: `No SSH connection to ${address} port ${port}`,
      why: 'the host is down, its name or port is another one, or a firewall does not let the runner in',
      fix: `check ${inputOf(hop)} (user@host:port), and open port ${port} in the firewall of that host for the runner; or go through a bastion with \`jump-host\``,
    },
  ]
}

const RULES: readonly Rule[] = [
  unusableKey,
  noCommonAlgorithm,
  oldSignature,
  secondFactor,
  noKeysTaken,
  knownButRefused,
  unknownKey,
  closedAccount,
  brokenOff,
  behindBastion,
  unknownName,
  closedEarly,
  noRoute,
  refused,
]

/** Why a login succeeds but our commands do not run. `finished` is the command with the unexpected answer. */
export function explainShell(host: Host, { code, stdout, stderr }: Finished): DeployError {
  const said = `${stderr.trim()}\n${stdout.trim()}`.trim()
  const seen = said === '' ? `exit code ${code}, no output` : said.slice(-500)
  const { user, address, port } = host
  const test = `\`ssh ${port === 22 ? '' : `-p ${port} `}${user}@${address} echo ok\` must print ok`
  if (/password has expired|required to change your password|Password change required/i.test(said)) {
    return new DeployError('ssh-account', {
      what: `The password of ${user} on ${address} has expired: the key is accepted, but no command runs`,
      seen,
      why: 'sshd requires a new password at each login, even with a key',
      fix: `on that host, as root: ${KEEP_ACCOUNT(user)}; or \`passwd ${user}\` for a new password, until that expires`,
    })
  }
  if (/account is (?:currently )?not available/i.test(said)) {
    return new DeployError('server-shell', {
      what: `The login shell of ${user} on ${address} runs no commands`,
      seen,
      why: 'it is `nologin`, which is usual for service users',
      fix: `on that host, as root: usermod -s /bin/sh ${user}`,
    })
  }
  const [, other] = /login as the user "([\w.-]+)" rather than/.exec(said) ?? []
  if (other !== undefined) {
    return new DeployError('server-shell', {
      what: `The host ${address} requires a user other than ${user}`,
      seen,
      why: 'images of cloud providers let root run no commands over SSH',
      fix: `host: ${other}@${address}${port === 22 ? '' : `:${port}`}`,
    })
  }
  if (/sftp connections only/i.test(said)) {
    return new DeployError('server-shell', {
      what: `The host ${address} lets ${user} only copy files`,
      seen,
      why: '`ForceCommand internal-sftp` in its sshd_config',
      fix: `on that host, as root: delete that line, or the \`Match\` block around it, in /etc/ssh/sshd_config, ${RELOAD}; or use another user`,
    })
  }
  return new DeployError('server-shell', {
    what: `The login shell of ${user} on ${address} did not run our command`,
    seen,
    why: 'a forced command (`command=` in ~/.ssh/authorized_keys, `ForceCommand` in sshd_config) answers instead, a start file such as ~/.bashrc ends the shell or starts another, or the login shell runs no commands',
    fix: `remove the forced command or correct the start file until ${test}; as root, \`usermod -s /bin/sh ${user}\` gives ${user} a plain shell`,
  })
}
