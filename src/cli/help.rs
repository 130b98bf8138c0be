//! What the help of each command says after its options: examples, and what the exit codes mean.

pub(super) const PROGRAM: &str = "\
Examples:
  contacts                         serve on this machine, with a database of its own and sample data
  contacts dev --open-docs         the same, and show the API reference in the browser
  contacts config check            see what `contacts serve` would run with
  contacts serve                   serve for real, by the settings of the environment and .env

Settings are variables of the environment, or of a .env file in the working directory, which the \
environment beats. `contacts config check` lists them.

Exit codes: 0 done, 1 failed (standard error says why), 2 called in a way that makes no sense";

pub(super) const DEV: &str = "\
Prints a token, and a curl line that works as pasted. The data is there again at the next start, in \
CONTACTS_DATA_DIR, else $XDG_DATA_HOME/contacts, else the platform's folder for data. PostgreSQL is \
found when it is installed (PG_BIN_DIR says where), else it is fetched with pip.

Examples:
  contacts dev --open-docs
  BIND_ADDR=127.0.0.1:9000 CONTACTS_DATA_DIR=/tmp/contacts contacts dev";

pub(super) const SERVE: &str = "\
Needs DATABASE_URL and a key for tokens: JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_JWKS_FILE. \
Applies pending migrations first, unless MIGRATE_ON_START is false. A database that is away is waited for.

SIGTERM: /readyz turns 503, requests in flight are answered, exit 0.

Exit codes: 0 stopped as told, 1 a setting is missing or malformed, or the address is taken";

pub(super) const MIGRATE: &str = "\
Safe to run beside running instances, and more than once: one at a time applies what is pending.

Exit codes: 0 the schema is up to date, 1 it could not be migrated";

pub(super) const HEALTH: &str = "\
Exit codes: 0 it is ready, 1 it is not, or does not answer";

pub(super) const TOKEN: &str = "\
Prints the token and nothing else. It carries JWT_ISSUER and JWT_AUDIENCE where these are set.

Examples:
  contacts token --account 0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e --sub alice --ttl 600
  TOKEN=$(contacts token --account \"$ACCOUNT\")";

pub(super) const CLIENT: &str = "\
Examples:
  contacts client create --account \"$ACCOUNT\" --name \"Billing sync\" --scope \"contacts:read contacts:write\"
  contacts client list --account \"$ACCOUNT\"
  contacts client revoke client_…";

pub(super) const IMPORT: &str = "\
Each row is what a PUT by the field of --match would be. Refused rows are told of in the report and do not stop the \
others. It can be stopped at any time and run again.

Examples:
  contacts import people.csv --account \"$ACCOUNT\" --match external_id --map \"E-mail=email\"
  contacts import people.csv --account \"$ACCOUNT\" --match email --dry-run

Exit codes: 0 every row was taken, 1 some were refused or it could not be done";

pub(super) const EXPORT: &str = "\
Examples:
  contacts export --account \"$ACCOUNT\" --format csv > people.csv
  contacts export --account \"$ACCOUNT\" --format ndjson | jq .email";

pub(super) const COMPLETIONS: &str = "\
Examples:
  contacts completions bash > ~/.local/share/bash-completion/completions/contacts
  contacts completions zsh > \"${fpath[1]}/_contacts\"
  contacts completions fish > ~/.config/fish/completions/contacts.fish";
