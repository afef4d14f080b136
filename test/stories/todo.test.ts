import { expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { develop } from './development.ts'
import { nightly } from './nightly.ts'
import { codes, tell, type Story } from './story.ts'
import { until } from '../until.ts'

const SHEET = 'src/core/static/core/todo.css'

/** What the site gives for its style sheet: the name that the page has for it, and the files. */
async function sheetOf(site: Story): Promise<{ hashed: string; text: string; plain: string }> {
  const hashed = /\/static\/core\/todo\.\w{12}\.css/.exec((await site.ask()).text)?.[0] ?? 'no style sheet'
  const [text, plain] = await Promise.all([hashed, '/static/core/todo.css'].map((path) => site.ask(path)))
  return { hashed, text: text?.text ?? '', plain: plain?.text ?? '' }
}

/** Adds a todo with a file on the admin pages, as a person does. */
async function upload(address: string, password: string, name: string, content: string): Promise<void> {
  const cookies = new Map<string, string>()
  const visit = async (path: string, fields?: Record<string, string | File>): Promise<number> => {
    const form = new FormData()
    const all = { ...fields, csrfmiddlewaretoken: cookies.get('csrftoken') ?? '' }
    for (const [field, value] of Object.entries(all)) form.set(field, value)
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ')
    const sent = fields ? { method: 'POST', body: form } : {}
    const answer = await fetch(address + path, { ...sent, headers: { cookie }, redirect: 'manual' })
    for (const line of answer.headers.getSetCookie()) {
      const [, key = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(key, value)
    }
    return answer.status
  }
  expect(await visit('/admin/login/')).toBe(200)
  expect(await visit('/admin/login/', { username: 'ada', password })).toBe(302)
  const todo = { title: 'Plan', attachment: new File([content], name) }
  expect(await visit('/admin/core/todo/add/', todo)).toBe(302)
}

test('todo: uploads and style sheets through deploys, a failure and a rollback, on two containers', async () => {
  await using site = await tell('todo')
  const address = site.server.url(site.port)
  const first = await site.deploy('v1', { inputs: { scale: 'project=2' } })
  expect(first).toMatchObject({ code: 0, annotations: [] })
  const superuser = `DJANGO_SUPERUSER_USERNAME=ada\nDJANGO_SUPERUSER_EMAIL=ada@example.com\nDJANGO_SUPERUSER_PASSWORD=secret-of-ada`
  await site.exec('python manage.py createsuperuser --noinput', { inputs: { env: superuser } })
  await upload(address, 'secret-of-ada', 'plan.txt', 'dig, then plant')
  const isKept = async (): Promise<void> => {
    expect((await site.ask()).text).toContain('/media/attachments/plan.txt')
    expect(await site.ask('/media/attachments/plan.txt')).toMatchObject({ status: 200, text: 'dig, then plant' })
  }
  await isKept()
  const v1 = await sheetOf(site)
  expect(v1.text).toContain('max-width')
  expect(v1.plain).toBe(v1.text)

  const script = await readFile(join(site.project.workspace, 'scripts/run.sh'), 'utf8')
  // What the old containers have in memory, and what is in the volume, must be of one release again.
  await site.change('broken', { [SHEET]: 'body { color: red }\n', 'scripts/run.sh': '#!/bin/sh\nexit 3\n' })
  const failed = await site.deploy('broken')
  expect(codes(failed)).toEqual(['Deploy Django: container-exited'])
  expect(await site.journal()).toContain('static end')
  expect(await site.serves()).toBe('v1')
  expect(await sheetOf(site)).toEqual(v1)

  await site.change('next', { [SHEET]: 'body { color: green }\n', 'scripts/run.sh': script })
  expect((await site.deploy('next')).outputs).toMatchObject({ outcome: 'deployed', serving: 'next' })
  const next = await sheetOf(site)
  expect([next.text, next.plain]).toEqual(['body { color: green }\n', 'body { color: green }\n'])
  // A page that is still open names the file of its own release.
  expect(await site.ask(v1.hashed)).toMatchObject({ status: 200, text: v1.text })
  await isKept()

  const back = await site.rollback()
  expect(back.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  expect(await site.serves()).toBe('v1')
  expect(await sheetOf(site)).toEqual(v1)
  expect(await site.ask(next.hashed)).toMatchObject({ status: 200, text: next.text })
  await isKept()

  // Two of them to the end, and the proxy asks both.
  expect((await site.containers()).filter((line) => line.startsWith('project '))).toHaveLength(2)
  for (let asked = 0; asked < 10; asked += 1) await site.ask()
  for (const number of [1, 2]) {
    const logs = ['sh', '-c', 'docker logs "$1" 2>&1', 'sh', `${site.name}-project-${number}`]
    expect((await site.server.exec(logs, { as: 'root' })).stdout).toContain('GET / ')
  }
})

nightly('todo: `docker compose up` for development, which reloads what is edited', async () => {
  await using todo = await develop('todo')
  const serves = (release: string) => async (): Promise<boolean> => (await todo.ask()).release === release
  await until('the site is up', serves('v1'))
  expect((await todo.ask('/static/core/todo.css')).text).toContain('body')
  const settings = await readFile(join(todo.project.workspace, 'src/todo/settings.py'), 'utf8')
  await todo.project.write('src/todo/settings.py', `${settings}RELEASE = 'edited'\n`)
  await until('the edited site is up', serves('edited'))
})
