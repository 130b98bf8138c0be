-- The settings of the service's sessions. A service with a direct connection, or behind a pooler in session mode, sets what is missing
-- after connecting. Behind a pooler in transaction mode, the settings must belong to the role. Run this script as a superuser, or as
-- contacts_app. It is safe to run again. It takes effect in new sessions.
--
-- The time limits are the default of REQUEST_TIMEOUT_MS, and twice as long. If you shorten it, shorten them, too.
--
-- They also apply to other programs that log in as contacts_app. contacts_owner, for migrations, has no such settings.

ALTER ROLE contacts_app SET plan_cache_mode = 'force_generic_plan';
ALTER ROLE contacts_app SET enable_seqscan = 'off';
ALTER ROLE contacts_app SET jit = 'off';
ALTER ROLE contacts_app SET statement_timeout = '10000ms';
ALTER ROLE contacts_app SET idle_in_transaction_session_timeout = '20000ms';
-- Lets the database cancel a statement whose client has disconnected.
ALTER ROLE contacts_app SET client_connection_check_interval = '500ms';
