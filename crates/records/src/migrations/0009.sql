-- How far the card of each answer on a chat platform is: what it is called there, and what was done with it.
CREATE TABLE channel_cards (
  account TEXT NOT NULL,
  message_id TEXT NOT NULL,
  body TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account, message_id)
) STRICT;
