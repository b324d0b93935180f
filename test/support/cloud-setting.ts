import assert from 'node:assert/strict'
import { type CloudOptions, LOCALES, type Locale } from '../../sandbox/cloud.ts'
import { RELEASES, type Release, traitsOf } from '../../sandbox/releases.ts'

export type CloudSetting = Required<Pick<CloudOptions, 'release' | 'locale'>>

const { SANDBOX_RELEASE, SANDBOX_LOCALE } = process.env

/** Undefined: the environment leaves it to the suite. */
export const askedRelease: Release | undefined = RELEASES.find(release => release === SANDBOX_RELEASE)
export const askedLocale: Locale | undefined = LOCALES.find(locale => locale === SANDBOX_LOCALE)
assert.equal(askedRelease, SANDBOX_RELEASE, `SANDBOX_RELEASE: one of ${RELEASES.join(', ')}`)
assert.equal(askedLocale, SANDBOX_LOCALE, `SANDBOX_LOCALE: one of ${LOCALES.join(', ')}`)

/** Which Cinder the suites meet, and in which language it speaks: `SANDBOX_RELEASE=queens SANDBOX_LOCALE=zh_CN npm test`. */
export const CLOUD_SETTING: CloudSetting = { release: askedRelease ?? 'latest', locale: askedLocale ?? 'en' }

/** The client asks for English. Who does not heed that speaks the language of its own processes. */
const speaksEnglish = CLOUD_SETTING.locale === 'en' || traitsOf(CLOUD_SETTING.release).honoursAcceptLanguage

/** Words of Cinder's, where the service quotes them. */
export const quoting = (english: RegExp): RegExp => (speaksEnglish ? english : /[\u4e00-\u9fff]/)

/** How long a volume in error rests before it is deleted, since this Cinder may make it yet. */
export const RESTING_SECONDS = traitsOf(CLOUD_SETTING.release).restartFailsAll ? 600 : 0
