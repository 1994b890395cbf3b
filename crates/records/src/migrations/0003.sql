-- Chat platforms: what came in, what goes out, and where each conversation stands. Times are milliseconds since 1970;
-- JSON is text. Ids that count up keep the order in which things were said.

CREATE TABLE channel_messages (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  account      TEXT NOT NULL,
  conversation TEXT NOT NULL,
  -- The platform's own; a repeated delivery has the same.
  message_id   TEXT NOT NULL,
  body         TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'failed')),
  attempts     INTEGER NOT NULL DEFAULT 0,
  due_at       INTEGER NOT NULL,
  received_at  INTEGER NOT NULL,
  UNIQUE (account, message_id)
) STRICT;

CREATE INDEX channel_messages_waiting ON channel_messages (account, conversation, id) WHERE state = 'waiting';
CREATE INDEX channel_messages_recent ON channel_messages (account, conversation, id);

CREATE TABLE channel_deliveries (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  account      TEXT NOT NULL,
  conversation TEXT NOT NULL,
  -- Names the delivery to the platform, so that sending it again is harmless.
  idempotency  TEXT NOT NULL UNIQUE,
  -- The message that it answers; empty for what nobody asked for.
  message_id   TEXT NOT NULL,
  body         TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'dropped', 'failed')),
  attempts     INTEGER NOT NULL DEFAULT 0,
  error        TEXT,
  due_at       INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  ended_at     INTEGER
) STRICT;

CREATE INDEX channel_deliveries_waiting ON channel_deliveries (account, conversation, id)
  WHERE state IN ('waiting', 'sending');
CREATE INDEX channel_deliveries_answers ON channel_deliveries (account, message_id);

CREATE TABLE channel_conversations (
  account      TEXT NOT NULL,
  conversation TEXT NOT NULL,
  -- NULL: as the account's settings say.
  mode         TEXT CHECK (mode IN ('auto', 'suggest', 'off')),
  session_id   TEXT,
  -- Since when a person of the company has it; NULL while it is the bot's.
  person_since INTEGER,
  -- How to reach the conversation, as the last message said; NULL before the first.
  reply        TEXT,
  updated_at   INTEGER NOT NULL,
  PRIMARY KEY (account, conversation)
) STRICT;

CREATE TABLE channel_cursors (
  account    TEXT PRIMARY KEY NOT NULL,
  cursor     TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE channel_drafts (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  account      TEXT NOT NULL,
  conversation TEXT NOT NULL,
  -- Why a person is asked: 'suggest' where the conversation is in that mode, else the reason of the hand-over.
  reason       TEXT NOT NULL,
  question     TEXT NOT NULL,
  summary      TEXT NOT NULL,
  reply        TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('open', 'sent', 'dismissed')),
  created_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX channel_drafts_open ON channel_drafts (account, state, id);

CREATE TABLE channel_events (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  at           INTEGER NOT NULL,
  account      TEXT NOT NULL,
  conversation TEXT,
  kind         TEXT NOT NULL,
  details      TEXT NOT NULL
) STRICT;

CREATE INDEX channel_events_by_account ON channel_events (account, id);
