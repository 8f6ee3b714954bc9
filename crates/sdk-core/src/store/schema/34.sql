-- The lists of the devices of each account, and the key that signs ours.

ALTER TABLE account ADD COLUMN account_key BLOB;   -- key pair that signs our device list; NULL: it is the identity key
ALTER TABLE account ADD COLUMN list_told INTEGER NOT NULL DEFAULT 0;   -- version of our device list that the relay has; 0: none

CREATE TABLE device_list (
    user_id     BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    account_key BLOB    NOT NULL CHECK (length(account_key) = 33),
    version     INTEGER NOT NULL CHECK (version > 0),
    digest      BLOB    NOT NULL CHECK (length(digest) = 32),
    list        BLOB    NOT NULL CHECK (length(list) <= 1024)
) STRICT, WITHOUT ROWID;
