import { canonical, isValues, valuesOf, type Values } from './document.ts'

const ADDRESSES = ['ipv4_address', 'ipv6_address', 'link_local_ips', 'mac_address']

/**
 * The model for containers that run beside those of the release, such as the one that migrates: no two can have one address.
 * Undefined when no service has an address of its own.
 */
export function withoutAddresses(model: Values): Values | undefined {
  const services = mapValues(valuesOf(model['services']), (service) => {
    const { networks, ...rest } = without(service)
    return isValues(networks) ? { ...rest, networks: mapValues(networks, without) } : without(service)
  })
  return canonical(services) === canonical(model['services']) ? undefined : { ...model, services }
}

const without = (values: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([key]) => !ADDRESSES.includes(key)))

function mapValues(values: Values, change: (values: Values) => Values): Values {
  return Object.fromEntries(
    Object.entries(values).map(([key, inner]) => [key, isValues(inner) ? change(inner) : inner]),
  )
}
