-- Another index, of terms that the library extracts (search/text.rs). Existing messages are added in the background, the newest
-- first. A prefix of any length up to the longest term is looked up and never scanned for. Deleted terms are removed from the
-- pages, and the library merges the index in small steps.

DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 (
    terms, content = '', columnsize = 0, detail = none, tokenize = 'ascii', prefix = '1 2 3 4 5 6 7 8 9'
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
INSERT INTO search (search, rank) VALUES ('automerge', 0);
INSERT INTO search (search, rank) VALUES ('crisismerge', 500);

ALTER TABLE account ADD COLUMN indexed_after INTEGER NOT NULL DEFAULT 0;   -- message.id after which it is fed
UPDATE account SET indexed_up_to = (SELECT coalesce(max(id), 0) FROM message);
UPDATE account SET indexed_after = indexed_up_to;
