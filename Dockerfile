# Images from scratch with one static program each, which runs as nobody on a read-only root:
#   docker build --target broker   -t ghcr.io/ottla-io/ottla-broker:0.1.0 .
#   docker build --target operator -t ghcr.io/ottla-io/ottla-operator:0.1.0 .
#   docker build --target ottla    -t ghcr.io/ottla-io/ottla:0.1.0 .
FROM docker.io/library/rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN target=$(rustc -vV | sed -n 's/^host: //p') && \
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" \
      --package ottla --package ottla-broker --package ottla-operator && \
    mkdir /out && cp target/"$target"/release/ottla target/"$target"/release/ottla-broker target/"$target"/release/ottla-operator /out/

FROM scratch AS broker
COPY --from=build /out/ottla-broker /ottla-broker
USER 65532:65532
ENTRYPOINT ["/ottla-broker"]

FROM scratch AS operator
COPY --from=build /out/ottla-operator /ottla-operator
USER 65532:65532
ENTRYPOINT ["/ottla-operator"]

FROM scratch AS ottla
COPY --from=build /out/ottla /ottla
USER 65532:65532
ENTRYPOINT ["/ottla"]
