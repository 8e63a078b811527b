# An image with one file: the static binary, to be copied into other images:
#
#     COPY --from=preverb /preverb /usr/local/bin/
#
# The compiler runs on the builder's processor and cross-compiles.
FROM --platform=$BUILDPLATFORM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
ARG TARGETVARIANT
# Built dependencies stay in the caches. Cargo compares the sources' times, which mean nothing
# here: another checkout may have left newer objects of older sources.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    touch src/lib.rs src/main.rs && \
    sh .ci/static /dist "$TARGETARCH${TARGETVARIANT:+/$TARGETVARIANT}" && \
    mv /dist/* /preverb

FROM scratch
COPY --from=build /preverb /preverb
ENTRYPOINT ["/preverb"]
