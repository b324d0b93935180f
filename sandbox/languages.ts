import type { FastifyRequest } from 'fastify'
import type { Cloud } from './cloud.ts'
import { PlainRefusal, Refusal } from './refusal.ts'
import { header } from './wire.ts'

/** What errors say in Chinese, by how they begin in English. Numbers, ids and names are kept. */
const CHINESE: readonly (readonly [said: RegExp, chinese: string])[] = [
  [/^Volume type (?:with name )?(\S+) could not be found/, '找不到卷类型 $1。'],
  [/^Volume (\S+) could not be found/, '找不到卷 $1。'],
  [/^Transfer (\S+) could not be found/, '找不到传输 $1。'],
  [/^Snapshot (\S+) could not be found/, '找不到快照 $1。'],
  [/^Volume (\S+) has no metadata with key (.*)\.$/, '卷 $1 没有键为 $2 的元数据。'],
  [/^Invalid auth key: Attempt to transfer (\S+) /, '认证密钥无效：传输 $1。'],
  [/^Version (\S+) is not supported .* maximum is (\S+)\.$/, '不支持版本 $1，最高版本为 $2。'],
  [/^API Version String (\S+) /, '版本字符串 $1 的格式无效。'],
  [/allowed (\S+) quota\. Requested (\S+), quota is (\S+) and (\S+) /, '超出配额 $1：请求 $2，上限 $3，已用 $4。'],
  [/^\w+LimitExceeded: .* \((\d+)\).*'(\S+)'/, '超出配额 $2：最多允许 $1 个。'],
  [/larger than maximum allowed limit (\S+)\.$/, '单个卷的大小超出上限 $1。'],
  [/^Invalid volume: .*expected in awaiting-transfer/, '卷状态无效：应为 awaiting-transfer。'],
  [/^Invalid volume: /, '卷无效：当前状态不允许此操作。'],
  [/^Invalid snapshot: /, '快照无效：当前状态不允许此操作。'],
  [/^Invalid volume_type provided/, '卷类型与来源不兼容。'],
  [/^Invalid filters (\S+) /, '查询选项中的过滤器 $1 无效。'],
  [/^Additional properties .*\('(\S+)' was unexpected\)/, '不允许的属性 $1。'],
  [/^Policy doesn't allow (\S+) /, '策略不允许执行 $1。'],
  [/not authorized to perform the requested action: (\S+)\.$/, '您无权执行操作 $1。'],
  [/requires authentication/, '您的请求需要认证。'],
  [/^Could not find token/, '找不到令牌。'],
  [/^schedule allocate volume/, '调度卷分配：找不到可用的后端。']
]

/** Of what has no words of its own. */
const BY_STATUS: Readonly<Record<number, string>> = {
  400: '请求无效。',
  401: '您的请求需要认证。',
  403: '禁止访问。',
  404: '找不到资源。',
  409: '发生冲突。',
  413: '超出配额。',
  500: '服务器出错，无法执行请求的操作。',
  503: '服务暂时不可用。'
}

/**
 * A text of an error as a client gets it: in the language that it asks for, where the release still listens to that, and
 * else in that of the API's own process.
 */
export function inLanguage({ locale, traits }: Cloud, asked: string | undefined, text: string, status = 400): string {
  const wanted = traits.honoursAcceptLanguage ? /^(en|zh)\b/i.exec(asked ?? '')?.[1]?.toLowerCase() : undefined
  const isChinese = wanted === undefined ? locale === 'zh_CN' : wanted === 'zh'
  if (!isChinese) return text
  const [said, chinese] = CHINESE.find(([pattern]) => pattern.test(text)) ?? []
  const match = said?.exec(text)
  if (!match || chinese === undefined) return BY_STATUS[status] ?? '请求失败。'
  return chinese.replaceAll(/\$(\d)/g, (_all, group: string) => match[Number(group)] ?? '')
}

/** A refusal in the language of the request; what comes from before the services is not translated. */
export function translated(cloud: Cloud, refusal: Refusal, request: FastifyRequest): Refusal {
  if (refusal instanceof PlainRefusal) return refusal
  const { status, message } = refusal
  return new Refusal(status, inLanguage(cloud, header(request, 'accept-language'), message, status))
}
