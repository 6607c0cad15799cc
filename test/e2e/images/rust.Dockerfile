FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends gcc libc6-dev make pkg-config git ca-certificates && \
    rm -rf /var/lib/apt/lists/*
COPY bin /usr/local/bin
COPY lib /usr/local/lib
