FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends prometheus && \
    rm -rf /var/lib/apt/lists/* && \
    ln -s /usr/bin/prometheus /usr/bin/promtool /bin/ 2>/dev/null || true && \
    mkdir /prometheus && chown 65534:65534 /prometheus
USER 65534
VOLUME /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
