-- The size of a contact's custom values, so that a write can check the limit of a contact's size without reading a large
-- document (src/contacts/contact_size.rs).
--
-- custom_size is an upper bound of the bytes of the values as compact JSON, as of the version custom_size_version. An
-- instance of an older build changes the version and not these columns, so that it invalidates the size.
ALTER TABLE contacts ADD COLUMN custom_size integer, ADD COLUMN custom_size_version bigint;
