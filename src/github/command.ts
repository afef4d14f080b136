import type { Run } from '../process.ts'
import { show } from '../report/log.ts'

/** Every step uses these over the connection. They are shown only under debug logging. */
const CONNECTION: readonly string[] = ['ssh', 'ssh-keygen']

/** Runs programs and shows each like other actions do: `[command]docker push …`. No argument holds a secret. */
export function showCommands(run: Run): Run {
  return (program, args, options) => {
    if (!CONNECTION.includes(program)) show(`[command]${[program, ...args].join(' ')}`)
    return run(program, args, options)
  }
}
