//! The text that the help of each command prints after its options: examples and exit codes.

pub(super) const PROGRAM: &str = "\
Examples:
  contacts                         run the service locally with an embedded database and sample data
  contacts dev --open-docs         the same, and open the API reference in the browser
  contacts config check            show the settings that `contacts serve` would use
  contacts serve                   run the service in production, with settings from the environment

Settings are environment variables. They can also be in a .env file in the working directory; the \
environment overrides the file. `contacts config check` lists all settings.

Exit codes: 0 success, 1 failure (the reason is on standard error), 2 usage error";

pub(super) const DEV: &str = "\
Prints a token and a curl command that you can paste. The data is kept between starts, in \
CONTACTS_DATA_DIR, else $XDG_DATA_HOME/contacts, else the data folder of the platform. An installed \
PostgreSQL is used if there is one (PG_BIN_DIR selects it). Otherwise PostgreSQL is downloaded with pip.

Examples:
  contacts dev --open-docs
  BIND_ADDR=127.0.0.1:9000 CONTACTS_DATA_DIR=/tmp/contacts contacts dev";

pub(super) const SERVE: &str = "\
Requires DATABASE_URL and a key that verifies tokens: JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL or \
JWT_JWKS_FILE. Applies pending migrations at start, unless MIGRATE_ON_START is false. If the database is \
down at start, the service keeps trying to connect.

On SIGTERM or SIGINT, /readyz returns 503, requests in flight are answered, and the process exits with 0.

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 a setting is missing or invalid, or the port is in use";

pub(super) const DISTRIBUTE: &str = "\
DATABASE_URL is the URL of the coordinator, with the role that owns the tables. Stop all instances first. Safe to \
run again: tables that are distributed already stay as they are. docs/scale-out.md describes each step.

Exit codes: 0 the tables are distributed, 1 they are not, or a check failed";
pub(super) const MIGRATE: &str = "\
Safe to run while instances are running, and safe to run again: only one process at a time applies \
pending migrations.

Exit codes: 0 the schema is up to date, 1 the migration failed";

pub(super) const HEALTH: &str = "\
Exit codes: 0 ready, 1 not ready or no response";

pub(super) const TOKEN: &str = "\
Prints only the token. The token contains JWT_ISSUER and JWT_AUDIENCE if they are set.

Examples:
  contacts token --account 0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e --sub alice --ttl 600
  TOKEN=$(contacts token --account \"$ACCOUNT\")";

pub(super) const CLIENT: &str = "\
Examples:
  contacts client create --account \"$ACCOUNT\" --name \"Billing sync\" --scope \"contacts:read contacts:write\"
  contacts client list --account \"$ACCOUNT\"
  contacts client revoke client_…";

pub(super) const ACCOUNT: &str = "\
Examples:
  contacts account export 0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e > account.ndjson
  contacts account purge 0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e";

pub(super) const IMPORT: &str = "\
Shows what goes where, and asks on a terminal before it writes. Encoding, separator, header row and columns are \
detected. Refused rows are written to the report and do not stop the others: you can mend them there and \
import the report. You can stop an import at any time and run it again.

Examples:
  contacts import people.csv --account \"$ACCOUNT\"
  contacts import people.xlsx --account \"$ACCOUNT\" --dry-run
  contacts import people.csv --account \"$ACCOUNT\" --match email --map \"Private mail=email\" --map \"Notes=\"

Prints one line: N created, N updated, N unchanged, N skipped, N refused

Exit codes: 0 no row was refused, 1 some rows were refused or the import failed";

pub(super) const EXPORT: &str = "\
Examples:
  contacts export --account \"$ACCOUNT\" --format csv > people.csv
  contacts export --account \"$ACCOUNT\" --format ndjson | jq .email";

pub(super) const COMPLETIONS: &str = "\
Examples:
  contacts completions bash > ~/.local/share/bash-completion/completions/contacts
  contacts completions zsh > \"${fpath[1]}/_contacts\"
  contacts completions fish > ~/.config/fish/completions/contacts.fish";
