-- Since when a session has been inactive and a skipped key has been kept, in seconds; NULL if that is not known. And the identity
-- keys that a device had before its present one, for which nothing is opened.

ALTER TABLE session ADD COLUMN inactive_since INTEGER;   -- NULL also while it is active
ALTER TABLE skipped_key ADD COLUMN kept_since INTEGER;

CREATE TABLE replaced_identity (
    user_id   BLOB    NOT NULL REFERENCES contact (user_id),
    device_id INTEGER NOT NULL,
    identity  BLOB    NOT NULL CHECK (length(identity) = 33),
    PRIMARY KEY (user_id, device_id, identity)
) STRICT, WITHOUT ROWID;
