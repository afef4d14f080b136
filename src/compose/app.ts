import { parse } from 'yaml'
import { valuesOf, type Values } from './document.ts'
import { readService, type Service } from './service.ts'

/** A Compose model with typed services. `model` is the whole untyped map, which only this folder reads. */
export type App = { model: Values; services: ReadonlyMap<string, Service> }

export function readApp(model: Values): App {
  const services = Object.entries(valuesOf(model['services']))
  return { model, services: new Map(services.map(([name, values]) => [name, readService(name, valuesOf(values))])) }
}

/** Parses the text of a pinned model. No text gives a model without services. */
export function parseApp(text: string | undefined): App {
  return readApp(text === undefined ? {} : valuesOf(parse(text)))
}
