FROM debian:bookworm-slim
RUN useradd --uid 1000 --create-home node
COPY root/ /
ENTRYPOINT []
CMD ["node"]
