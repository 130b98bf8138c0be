#!/bin/sh
# Upgrades the service of docker-compose.yml to the checked out version. If a step fails, the running version goes on serving.
set -eu
cd "$(dirname "$0")/../.."
docker compose build contacts
# The database may have to start first.
docker compose up --detach --wait database
docker compose run --rm migrate
docker compose up --detach --wait
