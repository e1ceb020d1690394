# The server and the conformance runner, built from these sources alone.
#
#   docker build --target server --tag tidewire-server .
#   docker build --target conformance --tag tidewire-conformance .

FROM rust:1-slim-trixie AS build
# fjall and ring compile some C.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package tidewire-server --package tidewire-conformance --features tidewire-conformance/embedded \
    && install -D -t /out target/release/tidewire-server target/release/tidewire-conformance

FROM debian:trixie-slim AS base
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/tidewire tidewire
USER tidewire
WORKDIR /var/lib/tidewire

FROM base AS server
COPY --from=build /out/tidewire-server /usr/local/bin/
VOLUME /var/lib/tidewire
# TLS and the admin API; plain TCP and WebSocket listen only where a flag says so.
EXPOSE 7402 7480
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidewire-server"]
CMD ["--help"]

FROM base AS conformance
COPY --from=build /out/tidewire-conformance /usr/local/bin/
ENTRYPOINT ["tidewire-conformance"]
CMD ["--help"]
