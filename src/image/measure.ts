import type { Run } from '../process.ts'

/** The unpacked sizes of images on the runner; other images are left out. */
export async function measureImages(images: Iterable<string>, run: Run): Promise<{ image: string; bytes: number }[]> {
  const measured = await Promise.all(
    [...new Set(images)].map(async (image) => {
      const { code, stdout } = await run('docker', ['image', 'inspect', '--format', '{{.Size}}', image])
      return code === 0 ? [{ image, bytes: Number(stdout) }] : []
    }),
  )
  return measured.flat()
}
