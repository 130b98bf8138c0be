-- When the tables are vacuumed. Almost every update of a contact or of an account is a HOT update: whoever next reads the
-- page takes the old version away, and vacuum has little to do. But that needs room in the page, and where a reader held
-- the old versions back for a while, the new ones went to other pages. By default vacuum waits for a fifth of the table to
-- be dead, which in a large table is for days: a bloat of a fifth that never goes away again. A fiftieth is found while
-- it still fits in the room that the fillfactor leaves.
ALTER TABLE contacts     SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE contact_keys SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- A small table of which every row changes all day: a share of it would be too little to start for.
ALTER TABLE accounts     SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Added to at the end, removed from at the beginning; each time by a small share of the whole.
ALTER TABLE changes       SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE kept_answers  SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE kept_contacts SET (autovacuum_vacuum_scale_factor = 0.02);
