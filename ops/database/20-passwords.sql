-- The passwords of the roles, from the environment of docker compose. For psql.
\getenv owner_password CONTACTS_OWNER_PASSWORD
\getenv app_password CONTACTS_APP_PASSWORD
-- A statement that fails is logged, and these hold secrets.
SET log_min_error_statement = panic;
ALTER ROLE contacts_owner PASSWORD :'owner_password';
ALTER ROLE contacts_app PASSWORD :'app_password';
-- The superuser gets in through the socket within the container, and no other way.
ALTER ROLE CURRENT_USER PASSWORD NULL;
