import type { Code } from '../errors.ts'

/** The exit code of a step that saw the mark of `askToTurnBack` while it waited. */
export const ABORTED = 42

/** What a person is told about an exit code. */
export type Explanation = { code: Code; what: string; why?: string; fix?: string }

/** What an exit code of probe.py (10-29) or transaction.sh (30 and above) means; above 100 are those of `timeout` and signals. */
export const explanations: Readonly<Record<number, Explanation>> = {
  10: {
    code: 'plan-differs',
    what: 'The database changed after the plan was made',
    why: 'another deployment or a `migrate` by hand came in between',
    fix: 'run the job again: it plans anew',
  },
  11: {
    code: 'lock-busy',
    what: 'Another process holds the migration lock of the database',
    fix: 'wait until the other migration is done and run the job again',
  },
  12: {
    code: 'database-not-up',
    what: 'The database does not answer',
    why: 'its container is stopped, or host and port are wrong',
    fix: 'start it on the server (`docker compose up -d` in the directory) or mend the settings',
  },
  13: {
    code: 'database-refused',
    what: 'The database refuses the connection',
    why: 'user, password or database name in the env file are not those of the database; or the folder of a SQLite file belongs to another user',
    fix: 'mend the env file, or the owner of that folder; a PostgreSQL container keeps the password it was first started with',
  },
  14: {
    code: 'migration-conflict',
    what: 'The migrations contradict each other or the database',
    fix: 'mend what is named here: two leaves with `python manage.py makemigrations --merge`, surplus rows in django_migrations, files that the image lacks in the repository',
  },
  15: {
    code: 'migration-failed',
    what: 'The time for migrations ran out between two of them',
    fix: 'raise `migrate-timeout` and deploy again; it goes on where it stopped',
  },
  16: {
    code: 'transaction-died',
    what: 'The migration never got its word to start; nothing was migrated',
    fix: 'run the job again',
  },
  17: { code: 'migration-failed', what: 'A migration failed', fix: 'mend the migration and deploy again' },
  18: {
    code: 'settings-import',
    what: 'Django does not start in the new image',
    why: 'a variable that the settings need is missing, or an import fails',
    fix: 'add the variable to the env file on the server or to `env-file`; try `manage` if manage.py is started in another way',
  },
  19: {
    code: 'not-migrated',
    what: 'The running release is not migrated as planned',
    why: 'with `migrate: external` the image does not migrate when it starts, or hides that this failed; else somebody else migrated at the same time, or the containers run other code than the image',
    fix: 'leave `migrate` out, so that the migrations are applied before the app is replaced; else run the job again',
  },
  20: {
    code: 'rollback-unfit',
    what: 'The old code cannot live with the database as it is now',
    fix: 'deploy a release that mends the problem with the newer code',
  },
  21: {
    code: 'health-timeout',
    what: 'The new release did not become healthy in time',
    fix: 'see the last lines of the containers; correct the health command when it is what fails; raise `health-timeout` when the app is only slow',
  },
  22: {
    code: 'database-not-kept',
    what: 'The database would be lost with each release',
    why: 'a variable such as DATABASE_URL is missing, so that the settings fall back to SQLite, or its file is in no volume',
    fix: 'set the variable in the env file, or mount a volume where the file is; `migrate: none` for a site without a database',
  },
  23: {
    code: 'static-failed',
    what: 'The static files could not be collected',
    why: 'a file that a style sheet names is missing, or the volume at STATIC_ROOT belongs to another user than the app',
    fix: 'mend what is named; a volume of another user takes one `chown` on the server. `collectstatic: never` when the image collects by itself',
  },
  46: {
    code: 'health-timeout',
    what: 'The new release did not become healthy in time',
    fix: 'see the last lines of the containers; correct the health command when it is what fails; raise `health-timeout` when the app is only slow',
  },
  30: {
    code: 'server-directory',
    what: "The project's directory on the server cannot be used",
    why: 'it was removed since this run began, or belongs to another user',
    fix: 'give the folder to the user of `host`, then run the job again',
  },
  31: {
    code: 'server-format',
    what: 'A newer version of this action has deployed to this directory',
    fix: 'use the newer version in this workflow as well',
  },
  32: {
    code: 'registry-login-failed',
    what: 'The registry refused the login of the server',
    fix: 'check registry-username and registry-password',
  },
  33: {
    code: 'pull-failed',
    what: 'The server could not pull an image',
    why: 'the registry is not reachable from the server, or the disk is full',
    fix: 'try `docker pull` with the name on the server',
  },
  66: {
    code: 'pull-failed',
    what: 'The registry refuses the image to the server',
    why: 'the login may push the image but not pull it, or there is no login: the runner may have one that the server has not',
    fix: 'set registry-username and registry-password of a user who may pull, or make the image public',
  },
  67: {
    code: 'pull-failed',
    what: 'An image is gone from the registry',
    why: 'it was deleted after the push, by a person or by a clean-up rule',
    fix: 'run the job again: what is gone is built and pushed again',
  },
  68: {
    code: 'pull-failed',
    what: 'The registry did not give the server the image in four attempts',
    why: 'it answers with errors of its own, or the network between them breaks off',
    fix: 'run the job again later; when it stays, look at the status page of the registry',
  },
  69: {
    code: 'pull-failed',
    what: 'An image of the release to go back to is no longer on the server, and could not be pulled again',
    why: 'all unused images were pruned there, and the registry has let it go, or wants a login, which a rollback does not bring',
    fix: 'is it denied: on the server, as the user that deploys (with `sudo` where that needs it), `docker login REGISTRY` (what the name of the image begins with) and a token that may pull, roll back again, `docker logout REGISTRY`. Is it unknown: deploy the old tag again, which builds and pushes it',
  },
  72: {
    code: 'pull-failed',
    what: 'The server could not pull an image that the Compose file names',
    why: 'the name or the tag is wrong, or it is private and the server has no login for it',
    fix: 'correct `image:` of the service; for a private image log in on the server with `docker login`, as the user that deploys',
  },
  34: {
    code: 'env-file-missing',
    what: 'The Compose file names a file that is neither shipped nor on the server',
    fix: 'put it into the directory on the server; an env file can be shipped with `env-files` as well',
  },
  35: {
    code: 'compose-invalid',
    what: 'Docker Compose on the server does not accept the Compose file',
    fix: 'mend the line that is named; a variable is set in `.env` on the server or in `env-file`',
  },
  36: {
    code: 'variable-missing',
    what: 'The Compose file uses variables that are set nowhere',
    why: 'Compose would make them empty: empty passwords are made this way',
    fix: 'set them in `.env` on the server or in `env-file`, or give them a default: ${NAME:-value}',
  },
  37: {
    code: 'lock-busy',
    what: 'This very transaction is already running',
    fix: 'follow the run that started it',
  },
  38: {
    code: 'server-no-docker',
    what: 'Docker on the server went away and did not come back',
    fix: 'start Docker on the server; the next deploy or rollback finishes what is unfinished',
  },
  39: {
    code: 'recovery-failed',
    what: 'Going back to the release before failed',
    fix: 'mend what the lines above name, then run the job again: it finishes going back first',
  },
  40: {
    code: 'recovery-failed',
    what: 'An interrupted deployment could not be finished',
    fix: 'look at .deploy/journal on the server; run the job again',
  },
  41: {
    code: 'newer-run-deployed',
    what: 'A newer workflow run has already deployed',
    why: 'this run was started earlier, or is an old run that was started again',
    fix: 'use the rollback workflow to go back, or set `force: true`',
  },
  [ABORTED]: {
    code: 'aborted',
    what: 'The job was cancelled, so the deployment turned back at its next safe point',
    fix: 'run the job again to deploy',
  },
  43: {
    code: 'database-not-up',
    what: 'A data service did not become healthy',
    fix: 'see its last lines above; a service that ends by itself belongs behind a profile',
  },
  44: {
    code: 'migration-failed',
    what: "The migration's container disappeared, its result is unknown",
    fix: 'look at the database, then run the job again',
  },
  45: {
    code: 'container-exited',
    what: 'A container of the new release does not stay up',
    why: 'the program in it ends or crashes at its start',
    fix: 'see its last lines',
  },
  47: {
    code: 'container-exited',
    what: 'A container of the new release does not stay up',
    why: 'the program in it ends or crashes at its start',
    fix: 'see its last lines',
  },
  48: {
    code: 'container-exited',
    what: 'A running container is not of the new image',
    why: 'somebody else changes the containers of this project',
    fix: 'run the job again',
  },
  49: {
    code: 'transaction-died',
    what: 'The transaction did not start on the server; nothing was changed',
    why: 'the server is overloaded, or its disk is full',
    fix: 'run the job again',
  },
  50: {
    code: 'transaction-failed',
    what: 'Another deployment with the same name was staged at the same time',
    why: 'two jobs of one run deploy the same version to the same directory',
    fix: 'run this job again',
  },
  51: {
    code: 'variable-missing',
    what: 'A value in an env file has a `$`, which Compose reads as the begin of a variable',
    why: 'what stands behind the `$` would be lost: keys and passwords are cut this way',
    fix: "put the value in single quotes, as in SECRET_KEY='ab$cd', in `.env` on the server or in `env-file`",
  },
  52: {
    code: 'server-logind',
    what: 'The server ends what a user has started when that user logs out, so a deployment would die with its connection',
    why: '`KillUserProcesses=yes` in /etc/systemd/logind.conf, and the user does not linger or has no user manager',
    fix: 'on the server, as root: loginctl enable-linger USER (with the packages libpam-systemd and dbus-user-session); or set KillUserProcesses=no and restart systemd-logind',
  },
  56: {
    code: 'adoption-failed',
    what: 'The Compose file that the running stack was started with is gone, so there would be no way back to it',
    fix: 'bring the file back, or stop the stack on the server; its volumes stay',
  },
  57: {
    code: 'adoption-failed',
    what: 'Docker Compose cannot read the files that the running stack was started with, so there would be no way back to it',
    why: 'they were changed since then, or their variables come from a shell',
    fix: 'mend them until `docker compose config` succeeds in that folder on the server',
  },
  61: {
    code: 'input-invalid',
    what: 'The rollback by hand takes at most one version',
    fix: 'leave it out, or give one',
  },
  62: {
    code: 'transaction-failed',
    what: 'The rollback by hand was started by another user',
    fix: 'start it as the user that deploys: what it writes must be readable by the next deploy',
  },
  63: {
    code: 'rollback-unknown-version',
    what: 'There is no such release to go back to',
    fix: 'choose one of the versions that are listed, or deploy the old tag again',
  },
  64: {
    code: 'internal',
    what: 'The script on the server was asked for something that it does not know',
    fix: 'run the job again with debug logging and report the log',
  },
  70: {
    code: 'service-missing',
    what: 'No container of the service runs',
    fix: 'name one that runs with `service`, or deploy again to start it',
  },
  124: {
    code: 'transaction-failed',
    what: 'A command on the server did not end in time and was stopped',
    why: 'Docker on the server hangs or is very busy',
    fix: 'see the last lines; look at the server, then run the job again',
  },
  126: {
    code: 'transaction-failed',
    what: 'A program on the server or in the image may not be started',
    fix: 'see which in the last lines; `manage` names the one that starts Django commands',
  },
  127: {
    code: 'transaction-failed',
    what: 'A program is missing on the server or in the image',
    fix: 'see which in the last lines; `manage` names the one that starts Django commands',
  },
  137: {
    code: 'transaction-failed',
    what: 'A program on the server was killed',
    why: 'most often its memory ran out',
    fix: "look for `oom` in the server's `dmesg`, give it more memory or start fewer workers",
  },
}
