CREATE TABLE bootstrap_out (
    device     INTEGER PRIMARY KEY,
    transfer   BLOB    CHECK (length(transfer) = 16),
    round      INTEGER NOT NULL DEFAULT 0,
    since      INTEGER,
    newest     INTEGER NOT NULL DEFAULT 0,
    later_after INTEGER NOT NULL DEFAULT 0,
    total      INTEGER,
    open_bytes INTEGER NOT NULL DEFAULT 0,
    is_waiting INTEGER NOT NULL DEFAULT 0,
    phase      INTEGER NOT NULL DEFAULT 1,
    after      BLOB    NOT NULL DEFAULT x'',
    number     INTEGER NOT NULL DEFAULT 0,
    sent       INTEGER NOT NULL DEFAULT 0,
    received_phase  INTEGER NOT NULL DEFAULT 1,
    received_after  BLOB    NOT NULL DEFAULT x'',
    received_number INTEGER NOT NULL DEFAULT 0,
    received_sent   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE bootstrap_in (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    transfer BLOB    NOT NULL CHECK (length(transfer) = 16),
    round    INTEGER NOT NULL,
    asked    INTEGER NOT NULL,
    applied  INTEGER NOT NULL DEFAULT 0,
    complete INTEGER NOT NULL DEFAULT 0,
    sent     INTEGER NOT NULL DEFAULT 0,
    total    INTEGER NOT NULL DEFAULT 0,
    is_done  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE bootstrap_piece (
    number INTEGER PRIMARY KEY,
    body   BLOB    NOT NULL
) STRICT;
