import { DeployError } from '../errors.ts'
import type { Mounted } from '../host/container.ts'
import type { StaticFiles } from './document.ts'

/** The input `collectstatic`. */
export type Collect = 'auto' | 'always' | 'never'

/** The value that a release recorded. An adopted release, or one of an older version, recorded none: `auto`. */
export function readCollect(kept: string | undefined): Collect {
  return kept === 'always' || kept === 'never' ? kept : 'auto'
}

/**
 * Whether a deployment must collect the static files of its release. Without `mounts` the release's mounts are unknown,
 * so the step itself decides.
 */
export function needsCollecting(asked: Collect, found: StaticFiles, mounts: readonly Mounted[] | undefined): boolean {
  if (asked === 'never') return false
  const lasts = found.kind === 'elsewhere' || (found.kind === 'folder' && (!mounts || isKept(found.root, mounts)))
  if (asked === 'auto') return lasts && found.kind === 'folder'
  if (lasts) return true
  throw new DeployError('static-failed', {
    what: 'The static files cannot be collected, although `collectstatic: always` is set',
    ...(found.kind === 'none'
      ? { seen: found.why, fix: 'set STATIC_ROOT and add django.contrib.staticfiles to INSTALLED_APPS' }
      : {
          seen: `STATIC_ROOT is ${found.root}, where the app has no volume that it can write to`,
          why: 'the collected files would be lost with the container that collects them',
          fix: 'mount a volume there, and mount it in the proxy too; or collect while the image is built (`RUN python manage.py collectstatic --noinput`) and leave `collectstatic` out',
        }),
  })
}

/** Whether files written there outlive the container. */
function isKept(root: string, mounts: readonly Mounted[]): boolean {
  return mounts.some(({ target, readOnly }) => !readOnly && `${root}/`.startsWith(`${target.replace(/\/+$/, '')}/`))
}
