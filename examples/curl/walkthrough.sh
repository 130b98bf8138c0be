#!/usr/bin/env bash
# The life of a contact with curl. Paste the line `export URL=… TOKEN=…` that `contacts dev` prints before.
set -euo pipefail
: "${CONTACTS_URL:=${URL:?paste the export line that contacts dev prints}}"
: "${CONTACTS_TOKEN:=${TOKEN:?paste the export line that contacts dev prints}}"

call() {
  local method=$1 path=$2
  shift 2
  printf '\n> %s %s\n' "$method" "$path" >&2
  curl --silent --fail-with-body --write-out '\n' --request "$method" "$CONTACTS_URL$path" \
    --header "Authorization: Bearer $CONTACTS_TOKEN" --header 'Content-Type: application/json' "$@"
}

# Prints a member of a JSON object that has no further object with this member.
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

echo '# The position of the change feed before the first write'
page=$(call GET '/contacts/changes?after=now') || { echo "$page"; exit 1; }
start=$(member next <<<"$page")

echo '# Create a contact, or update it: the same call does both'
by_external_id='id_property=external_id'
call PUT "/contacts/walk-1?$by_external_id" --data '{"fields": {"first_name": "Ada", "email": "ada.walk@example.com"}}'

echo '# Change a field, and ask for it in the response'
call PATCH "/contacts/walk-1?$by_external_id&properties=job_title,version" --data '{"fields": {"job_title": "Countess"}}'

echo '# Write two contacts at once'
call POST /contacts/batch/upsert --data '{"id_property": "external_id", "inputs": [
  {"id": "walk-1", "fields": {"phone": "+44 20 7946 0958"}},
  {"id": "walk-2", "fields": {"first_name": "Grace"}}]}'

echo '# Search'
call POST /contacts/search --data '{"filters": [{"property": "external_id", "operator": "starts_with", "value": "walk-"}]}'

echo '# An invalid request lists every problem'
call POST /contacts --data '{"fields": {"email": "nobody", "shoe_sise": 38}}' && exit 1

echo '# Only write if nobody else has: 412 with another version'
call PATCH "/contacts/walk-1?$by_external_id" --header 'If-Match: "stale"' --data '{"fields": {"job_title": null}}' && exit 1

echo '# Archive, and what happened since the start'
call DELETE "/contacts/walk-1?$by_external_id"
call DELETE "/contacts/walk-2?$by_external_id"
call GET "/contacts/changes?after=$start"
