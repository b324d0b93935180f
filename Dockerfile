# The service alone: PostgreSQL and the cloud are elsewhere (`database.url`, `openstack`). Give it a configuration with
# `-v ./config.yaml:/app/config.yaml -e SPARE_POOL_CONFIG=config.yaml`, and replicas one SPARE_POOL_SECRET.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build \
 && npm prune --omit=dev --omit=optional \
 && rm -rf src sandbox build.mjs tsconfig.json package-lock.json

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8790
WORKDIR /app
COPY --from=build /app ./
RUN mkdir -p data && chown node:node data
USER node
EXPOSE 8790
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself, without npm or a shell in between, so that SIGTERM reaches it.
CMD ["node", "dist/main.js", "serve"]
