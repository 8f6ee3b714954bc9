-- The places of our own edits were not recorded before schema 27. They come after the original and before any edit with a place, in the
-- order of their ids.

UPDATE edit SET position = 1
WHERE position = 1 << 62 AND content_id NOT IN (SELECT content_id FROM outgoing WHERE state < 3);
