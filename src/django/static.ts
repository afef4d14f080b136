import { DeployError } from '../errors.ts'
import type { Mounted } from '../server/container.ts'
import type { StaticFiles } from './document.ts'

/** The input `collectstatic`. */
export type Collect = 'auto' | 'always' | 'never'

/** What a release keeps of it; one that was adopted, or deployed by an older version, keeps nothing. */
export function readCollect(kept: string | undefined): Collect {
  return kept === 'always' || kept === 'never' ? kept : 'auto'
}

/**
 * Whether a transaction has to collect the static files of its release. Without `mounts` it is not known what the release
 * mounts; then the step itself finds out.
 */
export function needsCollecting(asked: Collect, found: StaticFiles, mounts: readonly Mounted[] | undefined): boolean {
  if (asked === 'never') return false
  const lasts = found.kind === 'elsewhere' || (found.kind === 'folder' && (!mounts || isKept(found.root, mounts)))
  if (asked === 'auto') return lasts && found.kind === 'folder'
  if (lasts) return true
  throw new DeployError('static-failed', {
    what: 'The static files cannot be collected as `collectstatic: always` asks',
    ...(found.kind === 'none'
      ? { seen: found.why, fix: 'set STATIC_ROOT and add django.contrib.staticfiles to INSTALLED_APPS' }
      : {
          seen: `STATIC_ROOT is ${found.root}, where the app has no volume that it may write`,
          why: 'what is collected would go with the container that collects it',
          fix: 'mount a volume there, which the proxy mounts too; or collect while the image is built (`RUN python manage.py collectstatic --noinput`) and leave `collectstatic` out',
        }),
  })
}

/** Whether what is written there outlives the container. */
function isKept(root: string, mounts: readonly Mounted[]): boolean {
  return mounts.some(({ target, readOnly }) => !readOnly && `${root}/`.startsWith(`${target.replace(/\/+$/, '')}/`))
}
