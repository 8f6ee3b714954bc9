-- A deferred envelope has columns for its place, so that it can be reported even if its bytes are damaged.

ALTER TABLE deferred ADD COLUMN epoch INTEGER;
ALTER TABLE deferred ADD COLUMN server_seq INTEGER;
