-- The key with which a device signs in to a relay that was restored from a backup, and what distinguishes this file from an older
-- copy of it.

ALTER TABLE account ADD COLUMN login_key BLOB CHECK (length(login_key) = 32);  -- its seed; made when it is first needed
ALTER TABLE account ADD COLUMN registration_tag BLOB;                          -- NULL until the relay knows the login key
ALTER TABLE account ADD COLUMN store_version BLOB NOT NULL DEFAULT x'';        -- of the relay, the newest that was seen
ALTER TABLE account ADD COLUMN lost_pre_keys INTEGER NOT NULL DEFAULT 0;       -- 1: the relay has one-time keys that are not here

-- One for each connection to the relay; the newest.
CREATE TABLE generation (
    number INTEGER PRIMARY KEY,
    nonce  BLOB    NOT NULL CHECK (length(nonce) = 8)
) STRICT;
