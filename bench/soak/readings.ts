import { once } from 'node:events'
import { WebSocket } from 'undici'
import type { ServiceProcess } from '../../test/processes/service-process.ts'

/** What the service says of itself. */
export interface Reading {
  readonly rssBytes: number
  readonly heapBytes: number
  readonly openFiles: number
  readonly handles: number
  /** Since the reading before. */
  readonly eventLoopP99Seconds: number
}

/** So that its memory can be read without what is only waiting to be collected. */
export const INSPECTED = { NODE_OPTIONS: '--inspect=127.0.0.1:0' }

export async function read(service: ServiceProcess): Promise<Reading> {
  const text = await (await fetch(`${service.url}/metrics`)).text()
  const value = (name: string): number => {
    const found = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]
    if (found === undefined) throw new Error(`/metrics has no ${name}`)
    return Number(found)
  }
  return {
    rssBytes: value('process_resident_memory_bytes'),
    heapBytes: value('nodejs_heap_size_used_bytes'),
    openFiles: value('process_open_fds'),
    handles: value('nodejs_active_handles_total'),
    eventLoopP99Seconds: value('nodejs_eventloop_lag_p99_seconds')
  }
}

/** Twice: what the first has finalized the second collects. */
export async function collectGarbage(service: ServiceProcess): Promise<void> {
  const socket = new WebSocket(String(await service.says(/(ws:\S+)/)))
  await once(socket, 'open')
  for (const id of [1, 2]) {
    socket.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }))
    await once(socket, 'message')
  }
  socket.close()
  await once(socket, 'close')
}
