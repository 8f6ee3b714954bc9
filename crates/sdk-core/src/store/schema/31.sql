-- Messages of ours expire that have not come to the recipient within 30 days. Those without a number cannot be confirmed.

ALTER TABLE account ADD COLUMN judged_up_to INTEGER NOT NULL DEFAULT 0;   -- a message.id: up to it, ours are known to have expired or not
UPDATE account SET judged_up_to = coalesce(
    (SELECT min(id) - 1 FROM message WHERE count IS NOT NULL AND state < 10), (SELECT max(id) FROM message), 0);
