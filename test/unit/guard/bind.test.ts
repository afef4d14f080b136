import { expect, test } from '@jest/globals'
import { readApp } from '../../../src/compose/app.ts'
import { bindSources, readMadeFolder, warnOfOwners } from '../../../src/guard/bind.ts'
import { readMounts } from '../../../src/guard/mount.ts'

const bind = (source: string, target: string): object => ({ type: 'bind', source, target })
const model = {
  services: {
    web: {
      volumes: [
        bind('/srv/shop/public', '/app/public'),
        bind('/srv/shop/.env', '/app/.env'),
        bind('/srv/shop/.deploy/files/ab/site.conf', '/etc/site.conf'),
        bind('/srv/shop/strict', '/strict'),
        { type: 'volume', source: 'pg', target: '/pg' },
        { type: 'volume', source: 'named', target: '/named' },
      ],
    },
    proxy: { volumes: [bind('/srv/shop/public', '/public'), bind('/var/run/docker.sock', '/var/run/docker.sock')] },
    tool: { volumes: [bind('/srv/shop', '/app')] },
  },
  volumes: {
    pg: { name: 'shop_pg', driver_opts: { type: 'none', o: 'bind', device: '/srv/shop/data/pg' } },
    named: { name: 'shop_named' },
  },
}

test('what the services mount from the host, each once, but not what is shipped', () => {
  const strict = { type: 'bind', source: './strict', target: '/strict', bind: { create_host_path: false } }
  const pinned = readApp({ services: { web: { volumes: ['./public:/app/public', strict] } } })
  const found = bindSources(readMounts({ model }), ['web', 'proxy'], pinned)
  expect(found.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
    'folder /srv/shop/public',
    'file /srv/shop/.env',
    'folder /srv/shop/data/pg',
    'folder /var/run/docker.sock',
  ])
})

test('a new folder that a container cannot write to is named, with the way to give it to its user', () => {
  const line = 'created the folder /srv/shop/public for containers, owned by user 1000'
  const made = readMadeFolder(line)
  expect(made).toEqual({ path: '/srv/shop/public', owner: '1000' })
  expect(readMadeFolder('note: /srv/shop/public is missing')).toBeUndefined()
  const warn = (user: string | undefined): readonly string[] =>
    warnOfOwners(made ? [made] : [], readMounts({ model }), new Map(user === undefined ? [] : [['web', user]]))
  expect(warn('10001')).toEqual([
    'The folder /srv/shop/public was missing on the host and was created for user 1000, but web runs as user 10001 and ' +
      'cannot write to it. On the host, as root: chown -R 10001 /srv/shop/public',
  ])
  for (const user of ['1000', '0', undefined]) expect(warn(user)).toEqual([])
})
