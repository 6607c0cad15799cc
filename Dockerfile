# Targets: cpu (the default) and cuda. See docs/container.md.
# Behind a proxy that signs TLS itself: --secret id=extra_ca,src=<its CA bundle>
# Without the shipped models: --build-arg MODELS=no
# scripts/pin-images.sh adds digests to the base images below.
ARG MODELS=shipped

FROM debian:bookworm-slim AS debian
FROM node:24-bookworm-slim AS node

FROM rust:1.95-bookworm AS addon
WORKDIR /build
COPY native/ ./
RUN --mount=type=secret,id=extra_ca --mount=type=cache,target=/cargo --mount=type=cache,target=/build/target \
    if [ -s /run/secrets/extra_ca ]; then export CARGO_HTTP_CAINFO=/run/secrets/extra_ca; fi; \
    CARGO_HOME=/cargo cargo build --release --locked --target-dir target && \
    cp target/release/libaltup_native.so /altup-native.node

FROM node AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# onnxruntime-node contains its libraries for every platform; its install script would also download those of CUDA.
RUN --mount=type=secret,id=extra_ca --mount=type=cache,target=/root/.npm \
    if [ -s /run/secrets/extra_ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/extra_ca; fi; \
    npm ci --omit=dev --omit=optional --ignore-scripts --no-bin-links --no-audit --no-fund && \
    cd node_modules/onnxruntime-node/bin/napi-v6 && \
    arch=$(node -p process.arch) && \
    find . -mindepth 2 -maxdepth 2 ! -path "./linux/$arch" -exec rm -rf {} + && \
    find . -type d -empty -delete

FROM addon AS notices
COPY --from=node /usr/local/bin/node /usr/local/bin/
COPY scripts/write-notices.ts ./
RUN --mount=type=bind,from=dependencies,source=/app,target=/app --mount=type=bind,from=node,source=/usr/local,target=/node \
    --mount=type=secret,id=extra_ca --mount=type=cache,target=/cargo \
    if [ -s /run/secrets/extra_ca ]; then export CARGO_HTTP_CAINFO=/run/secrets/extra_ca; fi; \
    CARGO_HOME=/cargo node write-notices.ts /THIRD-PARTY-NOTICES.txt --packages /app --crates . --node /node/LICENSE

FROM dependencies AS app
COPY LICENSE ./
COPY src/ src/
COPY --from=addon /altup-native.node /tmp/
COPY --from=notices /THIRD-PARTY-NOTICES.txt ./
RUN mkdir native && install -m 644 /tmp/altup-native.node "native/altup-native.linux-$(node -p process.arch).node"

FROM app AS no-models
RUN mkdir /models

# Models are exported here, because a container with a read-only root cannot write exports.
FROM app AS shipped-models
ARG PRECISION=fp32
COPY models/ /models/
RUN for model in /models/*; do ORT_DISABLE_TELEMETRY=1 node src/cli.ts export "$model" --precision "$PRECISION" || exit 1; done

FROM ${MODELS}-models AS models

# Only the libraries that Node, the addon and ONNX Runtime load: no shell, no package manager, no setuid file.
FROM debian AS root
COPY scripts/image-root.sh /
RUN --mount=type=bind,from=app,source=/,target=/app-image \
    /image-root.sh /root-of-image /app-image/usr/local/bin/node $(find /app-image/app -name '*.node' -o -name '*.so*') && \
    echo 'root:x:0:0:root:/nonexistent:/nonexistent\naltup:x:10001:10001:altup-serve:/nonexistent:/nonexistent' >/root-of-image/etc/passwd && \
    echo 'root:x:0:\naltup:x:10001:' >/root-of-image/etc/group

FROM scratch AS base
COPY --from=root /root-of-image/ /
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=models /models /models
COPY --from=app /app /app
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="altup-serve" \
      org.opencontainers.image.description="Serves AltUp language models over HTTP on ONNX Runtime" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/usr/local/bin \
    NODE_ENV=production \
    ORT_DISABLE_TELEMETRY=1 \
    ALTUP_HOST=:: \
    ALTUP_MODELS=/models
WORKDIR /app
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ALTUP_PORT ?? 8080}/health/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/src/cli.ts"]
CMD ["serve"]

# ONNX Runtime's CUDA provider and the libraries of CUDA 13 that it opens, from PyPI; the driver comes from the host.
FROM debian AS cuda-libraries
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY --from=dependencies /app/node_modules/onnxruntime-node/package.json /tmp/
COPY scripts/image-root.sh /
RUN --mount=type=secret,id=extra_ca --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/extra_ca ]; then export PIP_CERT=/run/secrets/extra_ca; fi; \
    version=$(sed -n 's/.*"version": "\(.*\)".*/\1/p' /tmp/package.json) && \
    python3 -m venv /venv && \
    /venv/bin/pip install --quiet "onnxruntime-gpu[cuda,cudnn]==$version" nvidia-cublas && \
    mkdir -p /cuda/provider /cuda/lib && cd /venv/lib/python3*/site-packages && \
    mv onnxruntime/capi/libonnxruntime_providers_shared.so onnxruntime/capi/libonnxruntime_providers_cuda.so /cuda/provider/ && \
    find nvidia -name 'lib*.so*' -exec mv -t /cuda/lib {} + && rm -rf /venv && \
    LD_LIBRARY_PATH=/cuda/lib /image-root.sh /root-of-image /cuda/provider/*.so /cuda/lib/*.so*

FROM base AS cuda
COPY --from=cuda-libraries /root-of-image/ /
COPY --from=cuda-libraries /cuda/provider/ /app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/
COPY --from=cuda-libraries /cuda/lib/ /opt/cuda/lib/
ENV LD_LIBRARY_PATH=/opt/cuda/lib \
    ALTUP_EXECUTION_PROVIDER=cuda \
    ALTUP_PRECISION=fp16 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM base AS cpu
