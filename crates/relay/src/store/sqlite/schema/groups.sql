-- Ciphertexts that rows of several mailboxes refer to, each until the last of them is gone. holders counts the rows, and the job that
-- is still writing some.
CREATE TABLE payload (
    payload_id INTEGER NOT NULL PRIMARY KEY,
    holders    INTEGER NOT NULL,
    ciphertext BLOB    NOT NULL
) STRICT;
-- A row with a payload has no ciphertext of its own. payload_bytes is the length of the one to which it refers.
ALTER TABLE inbox ADD COLUMN payload_id INTEGER;
ALTER TABLE inbox ADD COLUMN payload_bytes INTEGER NOT NULL DEFAULT 0;

-- The rosters of groups. A thread has one or is a direct thread.
CREATE TABLE roster (
    thread_id       BLOB    NOT NULL PRIMARY KEY,
    version         INTEGER NOT NULL,
    head            BLOB    NOT NULL,
    floor           INTEGER NOT NULL, -- messages that name an earlier version are refused
    may_write       INTEGER NOT NULL, -- these three: 1 members, 2 admins
    may_add         INTEGER NOT NULL,
    may_detail      INTEGER NOT NULL,
    timer_s         INTEGER NOT NULL,
    commitment      BLOB    NOT NULL,
    secret_version  INTEGER NOT NULL,
    removal_version INTEGER NOT NULL,
    details_version INTEGER NOT NULL,
    is_dissolved    INTEGER NOT NULL,
    link_key        BLOB,             -- these two: of the link, if there is one
    link_token_hash BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE roster_entry (
    thread_id  BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    server_seq INTEGER NOT NULL,
    hlc        INTEGER NOT NULL,
    entry      BLOB    NOT NULL,
    UNIQUE (thread_id, version)
) STRICT;

CREATE TABLE group_member (
    thread_id    BLOB    NOT NULL,
    user_id      BLOB    NOT NULL,
    account_key  BLOB    NOT NULL,
    role         INTEGER NOT NULL, -- 1 member, 2 admin
    since        INTEGER NOT NULL,
    list_version INTEGER NOT NULL,
    devices      BLOB    NOT NULL,
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE group_invited (
    thread_id          BLOB    NOT NULL,
    user_id            BLOB    NOT NULL,
    account_key        BLOB    NOT NULL,
    invited_by         BLOB    NOT NULL,
    since              INTEGER NOT NULL,
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;
-- What a group has delivered to somebody who is invited by a stranger.
CREATE TABLE group_request (
    thread_id          BLOB    NOT NULL,
    user_id            BLOB    NOT NULL,
    requested_messages INTEGER NOT NULL,
    requested_bytes    INTEGER NOT NULL,
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;

-- From where to where somebody was a member, once for each time. A message is for those whose time it falls into, also if its rows are
-- written later.
CREATE TABLE group_stay (
    thread_id    BLOB    NOT NULL,
    user_id      BLOB    NOT NULL,
    joined_seq   INTEGER NOT NULL,
    left_seq     INTEGER,            -- these two: of the entry by which they left, if they have
    left_version INTEGER,
    PRIMARY KEY (thread_id, user_id, joined_seq)
) STRICT, WITHOUT ROWID;

-- Posts whose rows are not all written yet, in each thread from the oldest on.
CREATE TABLE job (
    thread_id      BLOB    NOT NULL,
    server_seq     INTEGER NOT NULL,
    job_id         BLOB    NOT NULL,
    payload_id     INTEGER NOT NULL,
    payload_bytes  INTEGER NOT NULL,
    hlc            INTEGER NOT NULL,
    sender_user    BLOB    NOT NULL,
    sender_device  INTEGER NOT NULL,
    client_msg_id  BLOB    NOT NULL,
    roster_version INTEGER NOT NULL,
    kind           INTEGER NOT NULL,
    urgent         INTEGER NOT NULL,
    ttl_s          INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    concerned      BLOB    NOT NULL, -- users who get it without being members, 16 bytes each, in ascending order
    cursor_user    BLOB    NOT NULL, -- these two: the last device that has it
    cursor_device  INTEGER NOT NULL,
    devices        INTEGER NOT NULL, -- how many have it
    fence          INTEGER NOT NULL, -- how often it was claimed: only the last claim may go on
    claimed_ms     INTEGER NOT NULL, -- until when nobody else claims it
    PRIMARY KEY (thread_id, server_seq)
) STRICT, WITHOUT ROWID;
