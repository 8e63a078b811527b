# An image of one file: the static binary, to be copied into other images:
#
#     COPY --from=preverb /preverb /usr/local/bin/
#
# The compiler runs on the builder's own processor, whatever it builds for. No C is compiled, so that
# the one linker that Rust brings serves both.
FROM --platform=$BUILDPLATFORM rust:1-slim-bookworm AS build
WORKDIR /src
ARG TARGETARCH
RUN case "$TARGETARCH" in \
        amd64) target=x86_64-unknown-linux-musl ;; \
        arm64) target=aarch64-unknown-linux-musl ;; \
        *) echo "no build for '$TARGETARCH' yet" >&2; exit 1 ;; \
    esac && \
    rustup target add "$target" && \
    echo "$target" >/target
COPY . .
# What dependencies came to stays in the caches. Cargo goes by the sources' times, which say nothing
# here: another checkout may have left newer objects of older sources.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    touch src/lib.rs src/main.rs && \
    target="$(cat /target)" && \
    cargo build --release --locked --bin preverb --target "$target" && \
    cp "target/$target/release/preverb" /preverb

FROM scratch
COPY --from=build /preverb /preverb
ENTRYPOINT ["/preverb"]
