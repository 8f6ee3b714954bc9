ALTER TABLE account ADD COLUMN highest_device INTEGER NOT NULL DEFAULT 1;

-- A companion that is being linked, and has no account yet.
CREATE TABLE linking (
    only            INTEGER PRIMARY KEY CHECK (only = 1),
    keys            BLOB    NOT NULL,          -- its identity, the key for the offer, and its code
    relay_secret    BLOB    NOT NULL,          -- with which it asks for what the other device has sent
    name            TEXT    NOT NULL,
    registration_id INTEGER NOT NULL,
    offer           BLOB,                      -- as it came; NULL until then, as all that follows
    answer          BLOB,                      -- as it is sent
    nonce           BLOB,                      -- of the primary device, from which on both show the digits
    released        BLOB                       -- the list with this companion
) STRICT;

-- Companions that this device, the primary one, links.
CREATE TABLE own_link (
    link_id  BLOB    PRIMARY KEY CHECK (length(link_id) = 16),
    code     BLOB    NOT NULL,                 -- of the companion
    device   INTEGER NOT NULL,                 -- its number
    until    INTEGER NOT NULL,                 -- when its token expires, by server time
    offer    BLOB    NOT NULL,                 -- as it is sent, like what follows
    nonce    BLOB    NOT NULL,
    seed     BLOB    NOT NULL,                 -- what the keys of later messages are made of
    answer   BLOB,                             -- as it came
    state    INTEGER NOT NULL DEFAULT 0,       -- 0 begun, 1 the companion is on the list, 2 and was told
    released BLOB                              -- what it was told
) STRICT, WITHOUT ROWID;

-- The names that the person has given to the devices of the account.
CREATE TABLE own_device (
    device INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL
) STRICT;

-- Devices of the account that are on no list any more, of which the relay is to be told.
CREATE TABLE revocation (
    device INTEGER PRIMARY KEY
) STRICT;
