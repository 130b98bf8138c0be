FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc g++ make && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# Builds the dependencies in a layer of their own, which is rebuilt only when they change.
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked && rm -r src
COPY src src
COPY migrations migrations
# The revision that the metric contacts_build_info shows.
ARG CONTACTS_REVISION=
RUN touch src/main.rs src/lib.rs && cargo build --release --locked

# No shell, no package manager, not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/contacts /usr/local/bin/contacts
ENV BIND_ADDR=0.0.0.0:8080 LOG_FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/contacts", "health"]
ENTRYPOINT ["/usr/local/bin/contacts"]
CMD ["serve"]
