-- When the client noticed that the relay had given out a one-time key, which is kept for late first messages.

ALTER TABLE one_time_pre_key ADD COLUMN given_out INTEGER;
ALTER TABLE kem_pre_key ADD COLUMN given_out INTEGER;   -- NULL for a last-resort key
