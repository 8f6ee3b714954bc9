-- Which device signs the list of our devices: this one, or another one, and to which this one has moved the account.
ALTER TABLE account ADD COLUMN is_primary INTEGER NOT NULL DEFAULT 1;
UPDATE account SET is_primary = 0 WHERE device_id > 1;
ALTER TABLE account ADD COLUMN moved_to INTEGER;
CREATE TABLE account_move (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    move_id     BLOB    NOT NULL CHECK (length(move_id) = 16),
    device      INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    proposal    BLOB,
    account_key BLOB,
    key_version INTEGER
) STRICT;
