# sersync in a container: in the foreground, its log on stdout, ended by SIGTERM.
#   docker build -t sersync .
#   docker run -v /data/www:/data/www:ro -v ./confxml.xml:/etc/sersync/confxml.xml:ro -v sersync-state:/var/lib/sersync sersync
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /opt/sersync
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM ${BASE_IMAGE}
RUN apt-get update \
  && apt-get install -y --no-install-recommends rsync openssh-client tini \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/sersync
COPY --from=build /opt/sersync/package.json ./
COPY --from=build /opt/sersync/node_modules ./node_modules
COPY --from=build /opt/sersync/dist ./dist
COPY LICENSE ./
COPY conf ./conf
RUN ln -s /opt/sersync/dist/main.js /usr/local/bin/sersync \
  && ln -s /opt/sersync/dist/main.js /usr/local/bin/sersync2
# In a container -d stays in the foreground: the service is the container.
ENV NODE_ENV=production \
    SERSYNC_CONTAINER=1 \
    SERSYNC_STATE_DIR=/var/lib/sersync
VOLUME /var/lib/sersync
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s CMD ["sersync", "status", "--health"]
ENTRYPOINT ["tini", "--", "sersync"]
CMD ["-r", "-d", "-o", "/etc/sersync/confxml.xml"]
