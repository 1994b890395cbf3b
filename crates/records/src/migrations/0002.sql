-- Whose conversation it is: the id of the key it was started with; NULL for this machine without keys.
ALTER TABLE sessions ADD COLUMN owner TEXT;
ALTER TABLE sessions ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET updated_at =
  coalesce((SELECT max(created_at) FROM messages WHERE session_id = sessions.id), created_at);
CREATE INDEX sessions_by_time ON sessions (updated_at DESC, id DESC);
CREATE INDEX sessions_by_customer ON sessions (customer_id) WHERE customer_id IS NOT NULL;

-- Owner and the sender's own id of a question, so that one that is sent again is known.
ALTER TABLE messages ADD COLUMN request_key TEXT;
CREATE UNIQUE INDEX messages_by_request ON messages (request_key) WHERE request_key IS NOT NULL;

-- The question that a message answers; one answer each, also when the question is sent again while it is answered.
ALTER TABLE messages ADD COLUMN answers TEXT;
CREATE UNIQUE INDEX messages_by_question ON messages (answers) WHERE answers IS NOT NULL;

CREATE TABLE feedback (
  id         TEXT PRIMARY KEY NOT NULL,
  message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
  -- The id of the key that it was given with; '' for this machine without keys.
  actor_id   TEXT NOT NULL,
  actor      TEXT,
  rating     TEXT NOT NULL CHECK (rating IN ('up', 'down')),
  reason     TEXT,
  correction TEXT,
  updated_at INTEGER NOT NULL,
  UNIQUE (message_id, actor_id)
) STRICT;

CREATE TABLE interactions (
  id          TEXT PRIMARY KEY NOT NULL,
  customer_id TEXT NOT NULL,
  kind        TEXT NOT NULL,
  text        TEXT NOT NULL,
  -- The answer that it was made from; not a reference, for an interaction outlives a conversation.
  message_id  TEXT,
  documents   TEXT NOT NULL,
  actor       TEXT,
  at          INTEGER NOT NULL
) STRICT;

CREATE INDEX interactions_by_customer ON interactions (customer_id, at DESC, id DESC);
