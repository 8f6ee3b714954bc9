-- The id of an exchange of tokens, from before the request until its answer is stored.

ALTER TABLE account ADD COLUMN exchange TEXT;
