-- Times are milliseconds since 1970; JSON is text.

CREATE TABLE customers (
  id           TEXT PRIMARY KEY NOT NULL,
  name         TEXT,
  industry     TEXT,
  company_size TEXT,
  region       TEXT,
  needs        TEXT,
  scenario     TEXT,
  stage        TEXT,
  attributes   TEXT NOT NULL,
  updated_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
  id          TEXT PRIMARY KEY NOT NULL,
  audience    TEXT NOT NULL,
  -- Not a reference: a conversation outlives the customer's record.
  customer_id TEXT,
  created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE messages (
  id         TEXT PRIMARY KEY NOT NULL,
  session_id TEXT NOT NULL REFERENCES sessions (id),
  -- Order inside the conversation, from 1: two messages may fall into one millisecond.
  position   INTEGER NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
  text       TEXT NOT NULL,
  details    TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (session_id, position)
) STRICT;

CREATE TABLE gaps (
  id           INTEGER PRIMARY KEY,
  normalised   TEXT NOT NULL,
  audience     TEXT NOT NULL,
  question     TEXT NOT NULL,
  intent       TEXT NOT NULL,
  reason       TEXT NOT NULL,
  count        INTEGER NOT NULL,
  first_at     INTEGER NOT NULL,
  last_at      INTEGER NOT NULL,
  last_session TEXT,
  UNIQUE (normalised, audience)
) STRICT;

CREATE INDEX gaps_by_count ON gaps (count DESC, last_at DESC);

CREATE TABLE keys (
  id         TEXT PRIMARY KEY NOT NULL,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('admin', 'marketing', 'rep', 'bot')),
  -- SHA-256 of the secret; the secret itself is never stored.
  digest     BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  -- Who did it: a key's name; NULL for this machine's command line.
  actor   TEXT,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  details TEXT NOT NULL DEFAULT 'null'
) STRICT;
