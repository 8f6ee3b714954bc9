-- The account keys that an account had before the one it has now: their lists are refused for ever.
CREATE TABLE replaced_account_key (
    user_id     BLOB NOT NULL CHECK (length(user_id) = 16),
    account_key BLOB NOT NULL CHECK (length(account_key) = 33),
    PRIMARY KEY (user_id, account_key)
) STRICT, WITHOUT ROWID;
