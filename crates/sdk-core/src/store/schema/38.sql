-- What the devices of our account tell each other about what the person has decided, and what is still to be told.
CREATE TABLE account_state (
    what   INTEGER NOT NULL,                       -- its kind, and what it is about (docs/wire.md)
    key    BLOB    NOT NULL CHECK (length(key) <= 49),
    hlc    INTEGER NOT NULL DEFAULT 0,             -- with device: the stamp of the newest change; 0: there is none
    device INTEGER NOT NULL DEFAULT 0,
    mail   INTEGER,                                -- 0: to be told; the mail that tells it; NULL: there is nothing to tell
    said   BLOB,                                   -- what was said, if that is in no other row
    waits  INTEGER,                                -- since when it waits for what it is about; NULL: it does not
    PRIMARY KEY (what, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_state_due   ON account_state (mail)  WHERE mail IS NOT NULL;
CREATE INDEX account_state_waits ON account_state (waits) WHERE waits IS NOT NULL;

ALTER TABLE thread ADD COLUMN clear_position INTEGER;  -- with clear_up_to: what is at or before this position is to be deleted, too
