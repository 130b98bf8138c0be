-- A random number for each version of a contact, so that no two states of a contact have the same entity tag, even if the database
-- loses changes (a failover, a restored backup) and later ones have the same version and time.
--
-- NULL as of a change by an older build, or before this migration; the version and the time distinguish such states.
ALTER TABLE contacts ADD COLUMN tag integer;
