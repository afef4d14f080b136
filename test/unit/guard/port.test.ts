import { describe, expect, test } from '@jest/globals'
import { takenPorts } from '../../../src/compose/port.ts'
import { DeployError } from '../../../src/errors.ts'
import { checkPorts } from '../../../src/guard/port.ts'
import type { PortHolder } from '../../../src/host/look.ts'
import { projectOf } from '../compose/model.ts'

describe('the ports that a service takes on every address', () => {
  test.each<[string, number[]]>([
    ['"80:8000"', [80]],
    ['"80:8000/tcp", "443:443"', [80, 443]],
    ['"${PORT}:8000"', [8080]],
    ['"${OTHER}:8000"', []],
    ['"${OTHER:-81}:8000"', [81]],
    ['{target: 8000, published: 82}', [82]],
    ['{target: 8000, published: "83", protocol: udp}', []],
    ['{target: 8000, published: "84", host_ip: 127.0.0.1}', []],
    ['"127.0.0.1:80:8000"', []],
    ['"8000-8009:8000"', []],
    ['"53:53/udp"', []],
    ['8000', []],
  ])('[%s]', (ports, expected) => {
    const project = projectOf(`services: {web: {build: ., ports: [${ports}]}}`)
    expect(takenPorts(project, ['web'], { PORT: '8080' })).toEqual(expected)
    expect(takenPorts(project, [], { PORT: '8080' })).toEqual([])
  })
})

describe('a port', () => {
  const refusal = (...holders: PortHolder[]): string | undefined => {
    try {
      checkPorts(holders, [80], 'shop')
      return undefined
    } catch (error) {
      if (!(error instanceof DeployError)) throw error
      return `${error.code}: ${error.seen ?? ''} ${error.fix}`
    }
  }
  const container = (project: string): PortHolder => ({
    port: 80,
    kind: 'container',
    name: `${project}-web-1`,
    project,
  })

  test('that the project holds itself, or that is not wanted, is no reason', () => {
    expect(refusal(container('shop'))).toBeUndefined()
    expect(refusal({ port: 81, kind: 'program' }, { port: 82, kind: 'docker' })).toBeUndefined()
  })

  test('of another container or program is named with its holder', () => {
    expect(refusal(container('blog'))).toMatch(
      /^port-taken: 80: .* blog-web-1 of the project blog .*docker stop blog-web-1$/,
    )
    expect(refusal({ port: 80, kind: 'container', name: 'nginx', project: '' })).toMatch(/container nginx publishes it/)
    expect(refusal({ port: 80, kind: 'program' })).toMatch(/^port-taken: 80: a program outside .*sport = :80/)
  })

  test('that Docker holds for no container takes a restart of Docker', () => {
    expect(refusal(container('blog'), { port: 80, kind: 'docker' })).toMatch(
      /^port-left-over: .*systemctl restart docker/,
    )
  })
})
