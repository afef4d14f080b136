import { describe, expect, test } from '@jest/globals'
import { parseLook, type Server } from '../../../src/host/look.ts'
import { checkDiskSpace, findShortage } from '../../../src/host/disk-space.ts'
import { FakeServer } from './fake-server.ts'

const look = `deploy-django look 1
home /home/deploy
disk 1000
release v1-1-1
fact v1-1-1 images web r/app@sha256:1
fact v1-1-1 images proxy r/proxy@sha256:1
end
`
const server = parseLook(look) as Server
const MiB = 1024 * 1000

describe('findShortage', () => {
  test.each([
    ['nothing to pull', [], undefined],
    ['what just fits', [{ image: 'r/app@sha256:2', bytes: MiB }], undefined],
    ['one byte more', [{ image: 'r/app@sha256:2', bytes: MiB + 1 }], MiB + 1],
    ['what is on the server', [{ image: 'r/proxy@sha256:1', bytes: 9 * MiB }], undefined],
    [
      'one of each, the known one not counted',
      [
        { image: 'r/app@sha256:1', bytes: MiB },
        { image: 'r/proxy@sha256:2', bytes: MiB },
      ],
      undefined,
    ],
    [
      'the same image for two services, counted once',
      [
        { image: 'r/app@sha256:2', bytes: MiB },
        { image: 'r/app@sha256:2', bytes: MiB },
      ],
      undefined,
    ],
    [
      'several that fit one by one',
      [
        { image: 'r/app@sha256:2', bytes: MiB },
        { image: 'r/proxy@sha256:2', bytes: 1 },
      ],
      MiB + 1,
    ],
  ])('%s', (_, images, needed) => {
    expect(findShortage(server, images)).toEqual(needed === undefined ? undefined : { needed, free: MiB })
  })

  test('a disk of unknown size is not judged', () => {
    expect(findShortage({ ...server, freeDisk: undefined }, [{ image: 'x', bytes: 9 * MiB }])).toBeUndefined()
  })
})

describe('checkDiskSpace', () => {
  const large = [{ image: 'r/app@sha256:2', bytes: 700_000_000 }]

  test('says what would free some, and never names a volume', async () => {
    const answers = new FakeServer({
      stdout: 'Good morning\nImages 1.2GB (40%)\nLocal Volumes 3GB (90%)\nBuild Cache 512MB\n',
    })
    await expect(checkDiskSpace(answers, 'script', server, large)).rejects.toMatchObject({
      code: 'server-disk',
      seen: '1 MB free where Docker keeps its images, 700 MB needed\nDocker could free: Images 1.2GB (40%), Build Cache 512MB',
    })
    expect(answers.asked).toEqual(['sh -s reclaimable .'])
  })

  test('says so without it when Docker does not answer', async () => {
    const failed = checkDiskSpace(new FakeServer({ code: 1 }), 'script', server, large)
    await expect(failed).rejects.toMatchObject({ code: 'server-disk', seen: expect.not.stringContaining('could free') })
  })

  test('asks nothing when there is enough', async () => {
    const silent = new FakeServer()
    await checkDiskSpace(silent, 'script', server, [{ image: 'r/app@sha256:2', bytes: 1 }])
    expect(silent.calls).toEqual([])
  })
})
