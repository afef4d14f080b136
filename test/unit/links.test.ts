import { expect, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', '*.md'], {
  cwd: root,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .filter((page) => existsSync(join(root, page)))

/** The anchors that GitHub gives to the headings of a page. */
function anchorsOf(page: string): readonly string[] {
  const headings = page.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, text = '']) =>
    text
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  )
}

/** The links of a page that lead to nothing in this repository. */
function brokenLinks(page: string, text: string): readonly string[] {
  const links = text.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)
  return [...links].flatMap(([link, path = '', anchor]) => {
    const target = path === '' ? page : join(page, '..', path)
    if (!existsSync(join(root, target))) return [`${page}: ${link}`]
    if (anchor === undefined) return []
    const anchors = anchorsOf(target === page ? text : readFileSync(join(root, target), 'utf8'))
    return anchors.includes(anchor) ? [] : [`${page}: ${link}`]
  })
}

test('every link between the pages leads to a file and a heading', () => {
  expect(pages).toContain('README.md')
  expect(pages.flatMap((page) => brokenLinks(page, readFileSync(join(root, page), 'utf8')))).toEqual([])
})

test('a link that leads to nothing is seen', () => {
  const text =
    '# A heading, `with` more\n[a](#a-heading-with-more) [b](#b) [c](docs/none.md) [d](SECURITY.md#none) [e](https://x)\n'
  expect(brokenLinks('README.md', text)).toEqual([
    'README.md: ](#b)',
    'README.md: ](docs/none.md)',
    'README.md: ](SECURITY.md#none)',
  ])
})
