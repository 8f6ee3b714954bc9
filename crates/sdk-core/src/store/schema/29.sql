-- Receipts say up to which number posts have come here or were read. The authors of posts that came before are told nothing more of
-- them.

ALTER TABLE heard ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;           -- up to this number: their authors are not told of them,
ALTER TABLE heard ADD COLUMN withheld_excepted BLOB NOT NULL DEFAULT x'';   -- except for these
ALTER TABLE heard ADD COLUMN read INTEGER NOT NULL DEFAULT 0;               -- the highest number that was read
ALTER TABLE heard ADD COLUMN apart INTEGER NOT NULL DEFAULT 0;              -- up to this number: not read because a later one is,
ALTER TABLE heard ADD COLUMN apart_excepted BLOB NOT NULL DEFAULT x'';      -- except for these

UPDATE heard SET withheld = up_to, apart = up_to;

-- Queued receipts of the earlier form. A body begins with its kind.
DELETE FROM mail WHERE bytes IS NULL AND substr(body, 1, 1) = x'5a';
