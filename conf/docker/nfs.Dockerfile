# The NFS server of docker-compose.yml: NFS-Ganesha, which serves from user space.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
RUN apt-get update \
  && apt-get install -y --no-install-recommends nfs-ganesha nfs-ganesha-vfs tini \
  && rm -rf /var/lib/apt/lists/* \
  && mkdir -p /run/ganesha /var/lib/nfs/ganesha /data
EXPOSE 2049
ENTRYPOINT ["tini", "--", "ganesha.nfsd", "-F", "-L", "/dev/stdout", "-f", "/etc/ganesha/ganesha.conf"]
