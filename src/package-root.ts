import { fileURLToPath } from 'node:url'

/** The folder that `src` and `dist` lie in. All of `dist` is in one folder, so that nothing deeper may ask where it is itself. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../', import.meta.url))
