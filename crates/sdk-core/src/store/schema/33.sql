-- Mail that waits for sessions with its recipient, without a look at all other mail.
CREATE INDEX mail_recipient ON mail (recipient) WHERE bytes IS NULL;
