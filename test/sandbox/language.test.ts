import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Release } from '../../sandbox/releases.ts'
import { type Answer, aCloud, type Cloud, passwordAuth, send } from './support.ts'

const CHINESE = /[\u4e00-\u9fff]/
const NOBODY = '00000000-0000-4000-8000-000000000000'

const messageIn = ({ body }: Answer): string => {
  const [fault] = Object.values(body) as [{ message: string }]
  return fault.message
}

describe('errors of a Chinese cloud', () => {
  it('are in Chinese, and have no English words left to decide by', async t => {
    const { sandbox, pool, tenant } = await aCloud(t, { locale: 'zh_CN' })
    const { id } = await pool.create()
    const transfer = await pool.arm(id)
    sandbox.cloud.addFault({ operation: 'volume_show', kind: 'status', status: 500, count: 1 })
    const answers = [
      await pool.call('GET', `/volumes/${id}`),
      await pool.call('GET', `/volumes/${NOBODY}`),
      await pool.call('GET', '/snapshots/none'),
      await pool.call('GET', '/os-quota-sets/other'),
      await pool.call('DELETE', `/volumes/${id}`),
      await pool.action(id, 'os-extend', { new_size: 1 }),
      await pool.action(id, 'os-extend', { new_size: 5 }),
      await pool.action(id, 'os-dance'),
      await pool.call('POST', '/volumes', { volume: { size: 0 } }),
      await pool.call('POST', '/volumes', { volume: { size: 1, volume_type: 'ceph-none' } }),
      await pool.call('GET', '/volumes?colour=red'),
      await pool.call('GET', '/volumes', undefined, 99),
      await tenant.accept({ ...transfer, auth_key: 'wrong' }),
      await tenant.accept({ ...transfer, id: NOBODY }),
      await send('GET', `${pool.cinderUrl}/volumes`, { 'x-auth-token': 'none' }),
      await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, passwordAuth('nobody', 'pool')),
      await send('GET', `${sandbox.authUrl}/projects`, { 'x-auth-token': pool.token })
    ]
    for (const answer of answers) {
      assert.match(messageIn(answer), CHINESE, answer.text)
      const words = messageIn(answer).replaceAll(/[\w.-]*[0-9_:-][\w.:-]*|ceph-none|none|other|colour/g, '')
      assert.doesNotMatch(words, /[A-Za-z]{4,}/, answer.text)
    }
    assert.equal(answers[1]?.body.itemNotFound.message, `找不到卷 ${NOBODY}。`)
  })

  it('tell amounts and limits of a quota', async t => {
    const { pool, tenant, admin } = await aCloud(t, { locale: 'zh_CN' })
    await admin.call('PUT', `/os-quota-sets/${tenant.projectId}`, { quota_set: { gigabytes: 0 } })
    const refused = await tenant.accept(await pool.arm((await pool.create()).id))
    assert.equal(refused.body.overLimit.message, '超出配额 gigabytes：请求 1G，上限 0G，已用 0G。')
  })

  it('are in English for those who ask for it, up to Xena', async t => {
    const said = async ({ pool }: Cloud, language: string): Promise<string> => {
      const headers = { 'x-auth-token': pool.token, 'accept-language': language }
      return messageIn(await send('GET', `${pool.cinderUrl}/volumes/${NOBODY}`, headers))
    }
    const isChinese = async (release: Release, language: string): Promise<boolean> =>
      CHINESE.test(await said(await aCloud(t, { release, locale: 'zh_CN' }), language))
    assert.deepEqual(
      [await isChinese('xena', 'en-US'), await isChinese('xena', 'en'), await isChinese('yoga', 'en-US')],
      [false, false, true]
    )
    assert.equal(CHINESE.test(await said(await aCloud(t, { release: 'xena' }), 'zh-CN')), true)
    assert.equal(CHINESE.test(await said(await aCloud(t), 'zh-CN')), false)
  })

  it('are so in messages too, and state says the language', async t => {
    const { sandbox, pool } = await aCloud(t, { locale: 'zh_CN' })
    sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume' })
    const { id } = await pool.create()
    const { messages } = await pool.get(`/messages?resource_uuid=${id}`)
    assert.match(messages[0].user_message, CHINESE)
    assert.equal((await send('GET', `${sandbox.url}/sandbox/state`)).body.locale, 'zh_CN')
  })
})
