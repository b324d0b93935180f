import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Server, Socket } from 'node:net'

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

/** Lets it listen on any free port of 127.0.0.1, which it gives. When the test is over, whoever is connected is cut off. */
export async function listenOnLoopback(t: Lifetime, listener: Server): Promise<number> {
  const sockets = new Set<Socket>()
  listener.on('connection', socket => {
    sockets.add(socket.on('error', () => undefined)) // It is closed then.
    socket.on('close', () => sockets.delete(socket))
  })
  t.onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await once(listener.close(), 'close')
  })
  await once(listener.listen(0, '127.0.0.1'), 'listening')
  const address = listener.address()
  assert.ok(typeof address === 'object' && address)
  return address.port
}
