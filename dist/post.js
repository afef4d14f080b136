import { existsSync } from 'node:fs'
if (existsSync(process.env.STATE_folder ?? '')) await import('./index.js')
