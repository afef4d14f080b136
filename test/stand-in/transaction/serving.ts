import { expect } from '@jest/globals'
import { deployOf, engine, stage, transact, untried, type Staged } from './staged.ts'
import { copyWorld, makeWorld, removeWorld, stateOf, stopDocker, type Shell, type World } from './world.ts'

/** The migrations of the story: v1 has the first, v2 both. */
export const ROWS = ['core.0001', 'core.0002']
export const v1 = deployOf('v1', 1, ROWS.slice(0, 1))
export const v2 = deployOf('v2', 2, ROWS)
export const v2With = (web: object): Staged => deployOf('v2', 2, ROWS, web)
export const untriedV2 = (web: object): Staged => untried(v2With(web))

const worlds: World[] = []
const templates = new Map<Shell, Promise<World>>()

/** To be removed with the others. */
export function adopt(world: World): World {
  worlds.push(world)
  return world
}

/** A server on which nothing was deployed. */
export async function bare(shell: Shell = 'dash'): Promise<World> {
  return adopt(await makeWorld(shell))
}

/** A server on which v1 serves. */
export async function serving(shell: Shell = 'dash'): Promise<World> {
  const template = templates.get(shell) ?? deployFirst(shell)
  templates.set(shell, template)
  return adopt(await copyWorld(await template, shell))
}

async function deployFirst(shell: Shell): Promise<World> {
  const world = await bare(shell)
  expect(await transact(world, v1)).toBe('committed v1-1-1')
  return world
}

/** Stages and runs a deployment; returns what the engine printed. */
export async function logOf(world: World, staged: Staged): Promise<string> {
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  return (await engine(world, staged.id)).log
}

/** Every container of a service with its state. */
export async function namesOf(world: World): Promise<string[]> {
  return (await stateOf(world)).containers
    .filter(({ service }) => service !== '')
    .map(({ name, state }) => `${name} ${state}`)
    .sort()
}

export async function removeAll(): Promise<void> {
  await Promise.all(worlds.map(removeWorld))
  stopDocker()
}
