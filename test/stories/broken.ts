/** A site whose release can be broken in many ways by one variable, so that one image is enough for all of them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ActionRun } from '../run-action.ts'
import { makeShape, project, type Files, type Shape } from './shape.ts'

const DOCKERFILE = `FROM python:3.13-slim
RUN --mount=type=cache,target=/root/.cache/pip pip install --root-user-action=ignore \\
    "django==5.2.*" gunicorn uvicorn daphne pyuwsgi
WORKDIR /app
COPY . /app
`
const COMPOSE = `services:
  web:
    build: .
    command: sh -c "exec $$SERVER"
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
`
/** Docker itself would run the health command once a minute. */
const CHECK = `    healthcheck: { test: ["CMD", "python", "check.py"], interval: 60s }
`
const VOLUMES = 'volumes: { data: {} }\n'
/** Its name for the site is that of the release that serves. */
const ASK = `import os, socket, urllib.request
path = os.environ.get("CHECK", "")
if path == "port":
    socket.create_connection(("web", 8000)).close()
else:
    urllib.request.urlopen("http://web:8000/" + path)
`
/** A file in the volume makes an image fail that was good when it was deployed. */
const START = `import os, sys, time
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
fault, place = os.environ.get("FAULT"), "/data/fault-" + os.environ["NAME"]
if os.path.exists(place): fault = open(place).read().strip()
if fault == "exit": sys.exit("no licence")
if fault == "raise": raise ImportError("it cannot be imported")
if fault == "hang": time.sleep(600)
if fault == "lacks": os.environ["LICENCE_KEY"]
if fault == "slow": time.sleep(20)
`
const interfaceOf = (kind: 'wsgi' | 'asgi'): string =>
  `${START}from django.core.${kind} import get_${kind}_application\napplication = get_${kind}_application()\n`

/** The files of the project; with `hasCheck` Docker has a health check of it, once a minute. */
const brokenFiles = (hasCheck: boolean): Files => ({
  ...project('v1'),
  'site_/wsgi.py': interfaceOf('wsgi'),
  'site_/asgi.py': interfaceOf('asgi'),
  'site_/urls.py': `import os
from django.http import HttpResponse
from django.urls import path
def page(request):
    if os.environ.get("FAULT") == "page": raise RuntimeError("no page today")
    return HttpResponse(os.environ["NAME"], headers={"X-Release": os.environ["NAME"]})
urlpatterns = [path("", page), path("up", lambda request: HttpResponse("up"))]
`,
  'check.py': ASK,
  Dockerfile: DOCKERFILE,
  'compose.yaml': `${COMPOSE}${hasCheck ? CHECK : ''}${VOLUMES}`,
})

/** Command lines of the servers that people run Django with. */
export const SERVERS = {
  sync: 'gunicorn -b 0.0.0.0:8000 site_.wsgi',
  gthread: 'gunicorn -b 0.0.0.0:8000 --threads 2 site_.wsgi',
  preload: 'gunicorn -b 0.0.0.0:8000 --preload site_.wsgi',
  uvicorn: 'uvicorn --host 0.0.0.0 site_.asgi:application',
  daphne: 'daphne -b 0.0.0.0 -p 8000 site_.asgi:application',
  'uwsgi http': 'uwsgi --master --http-socket 0.0.0.0:8000 --module site_.wsgi:application',
  'uwsgi socket': 'uwsgi --master --socket 0.0.0.0:8000 --module site_.wsgi:application',
} as const

export type Env = Readonly<Record<string, string | undefined>>

/** Starts a story with such a project. */
export const makeBroken = (hasCheck = true): Promise<Shape> => makeShape(brokenFiles(hasCheck))

/** Deploys a version with these variables; one that is undefined is left out. */
export function deployWith(shape: Shape, version: string, env: Env = {}): Promise<ActionRun> {
  const all = { SECRET_KEY: 'only-for-this-test-1', NAME: version, SERVER: SERVERS.sync, ...env }
  const lines = Object.entries(all).map(([name, value]) => (value === undefined ? '' : `${name}=${value}\n`))
  return shape.deploy(version, { 'env-file': lines.join('') })
}

/** Requests the site every 20 ms while `work` runs; returns each distinct answer once. */
export async function poll<Done>(shape: Shape, work: () => Promise<Done>): Promise<{ ran: Done; answers: string[] }> {
  const answers = new Set<string>()
  let isOver = false
  const polling = (async () => {
    while (!isOver) {
      const answer = await shape.ask().catch((cause: unknown) => ({ text: String(cause) }))
      answers.add(answer.text)
      await sleep(20)
    }
  })()
  const ran = await work().finally(() => (isOver = true))
  await polling
  return { ran, answers: [...answers] }
}

/** Seconds of the trial of the last deployment whose id starts so, by its journal; undefined when there was none. */
export async function secondsOf(shape: Shape, deployment: string): Promise<number | undefined> {
  const script = 'cd "$1/.deploy/journal" && cat "$(ls -t "$2"-*[0-9] | head -n 1)"'
  const argv = ['sh', '-c', script, 'journal', `deploy/${shape.name}`, deployment]
  const { stdout } = await shape.server.exec(argv)
  const at = (state: string): number => Date.parse(new RegExp(`(\\S+) try ${state}`).exec(stdout)?.[1] ?? '')
  const seconds = (at('(?:end|fail)') - at('begin')) / 1000
  return Number.isNaN(seconds) ? undefined : seconds
}
