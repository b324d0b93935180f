import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { packageVersion } from '../package-root.ts'

const DESCRIPTION = `A stock of ready-made Cinder volumes. Errors are problem documents (RFC 9457) whose \`code\` says what to do;
every answer carries \`X-Openstack-Request-Id\`, the id that Cinder's logs have too.`

/** `/openapi.json` and `/docs`, from the routes that are registered after this. */
export async function describe(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'spare-volume-pool',
        version: packageVersion(),
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: [{ url: '/', description: 'Where this document comes from' }],
      security: [{ keystone: [] }, { bearer: [] }, {}],
      components: {
        securitySchemes: {
          keystone: { type: 'apiKey', in: 'header', name: 'X-Auth-Token', description: 'access.mode keystone' },
          bearer: { type: 'http', scheme: 'bearer', description: 'access.mode token' }
        }
      }
    },
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) => (typeof $id === 'string' ? $id : `def-${index}`)
    },
    transformObject: document => {
      if (!('openapiObject' in document)) return document.swaggerObject
      for (const item of Object.values(document.openapiObject.paths ?? {})) {
        for (const operation of [item?.post, item?.delete]) if (operation) describeBody(operation as Operation)
      }
      return document.openapiObject
    }
  })
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: false })
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
}

interface Operation {
  readonly operationId?: string
  readonly requestBody?: { required?: boolean }
  readonly responses: Record<string, unknown>
}

/** What Fastify does not say: only a claim needs a body, and any body may be too large or not JSON. */
function describeBody({ operationId, requestBody, responses }: Operation): void {
  const problem = (description: string) => ({ ...(responses['400'] as object), description })
  responses['413'] = problem('invalid_request: the body is too large')
  responses['415'] = problem('invalid_request: the body is not JSON')
  if (requestBody && operationId !== 'claimDisk') requestBody.required = false
}
