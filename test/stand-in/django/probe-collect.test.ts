import { afterAll, describe, expect, test } from '@jest/globals'
import { chown, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findDocument } from '../../../src/django/document.ts'
import { approve, makeProject, probe, removeProjects, several, start, type Options, type Outcome } from './probe.ts'
import { go } from './world.ts'

afterAll(removeProjects)

const MANIFEST = 'django.contrib.staticfiles.storage.ManifestStaticFilesStorage'

/** A project with a style sheet that refers to an image, collected with it. */
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

  test('what cannot be collected is reported, and existing files stay', async () => {
    const project = await makeSite()
    await collect(project)
    const before = await namesIn(join(project, 'static'))
    await writeFile(join(project, 'blog/static/site.css'), 'body { background: url(img/gone.svg) }\n')
    const failed = await collect(project)
    expect([failed.code, failed.result.error?.kind]).toEqual([23, 'not-collected'])
    expect(failed.result.error?.detail).toContain('img/gone.svg')
    expect(await namesIn(join(project, 'static'))).toEqual(before)
  })

  describe('after a migration, in its process', () => {
    const migrate = async (project: string, limit = '900'): Promise<Outcome> => {
      const env = { DATABASE: join(project, 'db.sqlite3'), DEPLOY_DJANGO_KEEP: 'no' }
      const planned = await probe('plan', project, { env })
      const more = {
        DEPLOY_DJANGO_APPROVED: approve(planned),
        DEPLOY_DJANGO_COLLECT: 'always',
        DEPLOY_DJANGO_COLLECT_LIMIT: limit,
      }
      return go(start('migrate', project, { env: { ...env, ...more } }))
    }
    /** The results before and after the line that separates them. */
    const resultsOf = ({ stdout }: Outcome): unknown[] =>
      stdout.split('\ndeploy-django: collecting\n').map((part) => findDocument(part))

    test('it has a result of its own', async () => {
      const project = await makeSite()
      const done = await migrate(project)
      expect(done.code).toBe(0)
      expect(resultsOf(done)).toMatchObject([{ verb: 'migrate', failed: null }, { verb: 'collect' }])
      expect(await namesIn(join(project, 'static'))).toContain('site.css')
      // With nothing to apply, it ends at once: nobody told it to go.
      const env = { DATABASE: join(project, 'db.sqlite3'), DEPLOY_DJANGO_KEEP: 'no', DEPLOY_DJANGO_COLLECT: 'always' }
      const again = await probe('migrate', project, { env })
      expect([again.code, again.stdout]).toEqual([0, expect.not.stringContaining('collecting')])
    })

    test('what cannot be collected does not fail the migration', async () => {
      const project = await makeSite()
      await writeFile(join(project, 'blog/static/site.css'), 'body { background: url(img/gone.svg) }\n')
      const failed = await migrate(project)
      expect(failed.code).toBe(23)
      const error = { kind: 'not-collected', detail: expect.stringContaining('img/gone.svg') }
      expect(resultsOf(failed)).toMatchObject([
        { verb: 'migrate', failed: null },
        { verb: 'collect', error },
      ])
    })

    test('it ends after a time', async () => {
      const project = await makeSite('STATICFILES_FINDERS = ["blog.hanging.Hanging"]')
      const finder = `import time
from django.contrib.staticfiles.finders import BaseFinder


class Hanging(BaseFinder):
    def list(self, ignore_patterns):
        time.sleep(60)
`
      await writeFile(join(project, 'blog/hanging.py'), finder)
      const late = await migrate(project, '1')
      expect([late.code, late.result.error?.message]).toEqual([23, 'collectstatic did not end within 1 s.'])
    })
  })

  test.each([
    ['STATIC_ROOT = None', 'none'],
    ['STORAGES["staticfiles"]["BACKEND"] = "django.core.files.storage.Storage"', 'elsewhere'],
  ])('a plan says where it writes: %s', async (setting, kind) => {
    const planned = await probe('plan', await makeSite(setting), { env: { DATABASE: 'none' } })
    expect(planned.result).toMatchObject({ settings: { static: { kind } } })
  })
})
