import { connect } from 'node:net'
import type { Problem } from '../../src/http/schemas.ts'

/** What a server says to such bytes until it hangs up: a problem. */
export async function answerTo(server: string, bytes: string): Promise<{ head: string; problem: Problem }> {
  const { hostname, port } = new URL(server)
  const socket = connect(Number(port), hostname).setEncoding('utf8')
  socket.write(bytes)
  let text = ''
  for await (const chunk of socket) text += chunk
  const [head = '', body = ''] = text.split('\r\n\r\n')
  return { head, problem: JSON.parse(body) }
}
