FROM rust:1.95-slim-trixie AS build
# Records the dependencies in the program. Scanners of images find there which of them have known vulnerabilities.
RUN --mount=type=cache,target=/usr/local/cargo/registry cargo install --locked cargo-auditable@0.7.7
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY migrations migrations
# The revision that the metric contacts_build_info shows.
ARG CONTACTS_REVISION=
# The caches keep the compiled dependencies for the next build. Cargo goes by the times of files, which can be older than the last
# build although the files are others.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    touch src/main.rs src/lib.rs && cargo auditable build --release --locked && cp target/release/contacts /contacts

# No shell, no package manager, not root.
FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="contacts" \
      org.opencontainers.image.description="A multi-tenant contacts (CRM) service with an HTTP REST API on PostgreSQL"
COPY --from=build /contacts /usr/local/bin/contacts
ENV BIND_ADDR=0.0.0.0:8080 LOG_FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s CMD ["/usr/local/bin/contacts", "health"]
ENTRYPOINT ["/usr/local/bin/contacts"]
CMD ["serve"]
