-- Sets the passwords of the roles from the environment of docker compose. A script for psql.
\getenv owner_password CONTACTS_OWNER_PASSWORD
\getenv app_password CONTACTS_APP_PASSWORD
-- PostgreSQL logs failing statements, and these contain secrets.
SET log_min_error_statement = panic;
ALTER ROLE contacts_owner PASSWORD :'owner_password';
ALTER ROLE contacts_app PASSWORD :'app_password';
-- Without a password, the superuser can log in only through the Unix socket inside the container.
ALTER ROLE CURRENT_USER PASSWORD NULL;
