import { afterAll, describe, expect, test } from '@jest/globals'
import { chown, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeProject, probe, removeProjects, several, type Options, type Outcome } from './probe.ts'

afterAll(removeProjects)

const MANIFEST = 'django.contrib.staticfiles.storage.ManifestStaticFilesStorage'

/** A project with a style sheet that names a picture, collected beside it. */
async function makeSite(more = ''): Promise<string> {
  const project = await makeProject({
    'blog/static/site.css': 'body { background: url(img/dot.svg) }\n',
    'blog/static/img/dot.svg': '<svg/>\n',
  })
  const settings = join(project, 'world/settings.py')
  const text = `import django
INSTALLED_APPS.append("django.contrib.staticfiles")
STATIC_URL = "/static/"
STATIC_ROOT = "${project}/static"
if django.VERSION >= (4, 2):
    STORAGES = {"staticfiles": {"BACKEND": "${MANIFEST}"}}
else:
    STATICFILES_STORAGE = "${MANIFEST}"
${more}`
  await writeFile(settings, `${await readFile(settings, 'utf8')}\n${text}`)
  return project
}

const collect = (project: string, options: Options = {}): Promise<Outcome> =>
  probe('collect', project, { ...options, env: { DATABASE: 'none', DEPLOY_DJANGO_COLLECT: 'always' } })

const namesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).filter((name) => name.includes('.')).sort()

describe('collect', () => {
  test.each(several)('Django %s: both ways, although the files in the volume are younger', async (django) => {
    const project = await makeSite()
    const [root, source] = [join(project, 'static'), join(project, 'blog/static/site.css')]
    const read = (name: string): Promise<string> => readFile(join(root, name), 'utf8')
    const old = new Date('2020-01-01')
    const edit = async (text: string): Promise<void> => {
      await writeFile(source, text)
      await utimes(source, old, old)
    }
    // What was uploaded there, and what is left of a collector that was killed.
    await mkdir(join(root, '.deploy-django'), { recursive: true })
    await writeFile(join(root, '.deploy-django/half.css'), 'half')
    await writeFile(join(root, 'theirs.txt'), 'not ours')

    const first = await collect(project, { django })
    expect([first.code, first.stderr]).toEqual([0, expect.stringMatching(/\b[56] are new or changed/)])
    const [v1] = (await namesIn(root)).filter((name) => /^site\.\w+\.css$/.test(name))
    await utimes(join(root, 'img/dot.svg'), old, old)

    await edit('body { color: red }\n')
    expect((await collect(project, { django })).stderr).toContain('3 are new or changed')
    expect(await read('site.css')).toContain('red')
    expect(await read('staticfiles.json')).not.toContain(v1)
    // A page that is still open asks for it.
    expect(await read(v1 ?? '')).toContain('background')

    await edit('body { background: url(img/dot.svg) }\n')
    expect((await collect(project, { django })).stderr).toContain('2 are new or changed')
    expect(await read('site.css')).toContain('background')
    expect(await read('staticfiles.json')).toContain(v1)
    expect(await read('theirs.txt')).toBe('not ours')
    // A file that is the same keeps its time, and with it the ETag of a proxy.
    expect((await stat(join(root, 'img/dot.svg'))).mtime).toEqual(old)
    expect((await namesIn(root)).filter((name) => name.includes('deploy-django'))).toEqual([])
  })

  test('unasked only in a volume', async () => {
    const project = await makeSite()
    expect(await probe('collect', project, { env: { DATABASE: 'none' } })).toMatchObject({ code: 0 })
    expect(await namesIn(project)).not.toContainEqual(expect.stringMatching(/^static\//))
  })

  // An entrypoint that drops to another user may collect there as well.
  test('what root makes belongs to the owner of the volume', async () => {
    const project = await makeSite()
    const root = join(project, 'static')
    await mkdir(root)
    await chown(root, 1234, 1234)
    expect(await collect(project)).toMatchObject({ code: 0 })
    const owners = await Promise.all(
      (await readdir(root, { recursive: true })).map(async (name) => (await stat(join(root, name))).uid),
    )
    expect(new Set(owners)).toEqual(new Set([1234]))
  })

  test('what cannot be collected is told, and what is there stays', async () => {
    const project = await makeSite()
    await collect(project)
    const before = await namesIn(join(project, 'static'))
    await writeFile(join(project, 'blog/static/site.css'), 'body { background: url(img/gone.svg) }\n')
    const failed = await collect(project)
    expect([failed.code, failed.result.error?.kind]).toEqual([23, 'not-collected'])
    expect(failed.result.error?.detail).toContain('img/gone.svg')
    expect(await namesIn(join(project, 'static'))).toEqual(before)
  })

  test.each([
    ['STATIC_ROOT = None', 'none'],
    ['STORAGES["staticfiles"]["BACKEND"] = "django.core.files.storage.Storage"', 'elsewhere'],
  ])('a plan says where it writes: %s', async (setting, kind) => {
    const planned = await probe('plan', await makeSite(setting), { env: { DATABASE: 'none' } })
    expect(planned.result).toMatchObject({ settings: { static: { kind } } })
  })
})
