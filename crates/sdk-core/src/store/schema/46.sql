-- Links of groups, and whether invitations of contacts are accepted.
CREATE TABLE group_link (
    thread_id  BLOB NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    public_key BLOB NOT NULL CHECK (length(public_key) = 33),
    secret     BLOB NOT NULL CHECK (length(secret) = 32),
    PRIMARY KEY (thread_id, public_key)
) STRICT, WITHOUT ROWID;
ALTER TABLE privacy ADD COLUMN invitations INTEGER;
