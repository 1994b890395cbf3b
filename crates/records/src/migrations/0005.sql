-- Whose pages may use a key: a JSON list of origins; empty where nothing is said.
ALTER TABLE keys ADD COLUMN origins TEXT NOT NULL DEFAULT '[]';
-- What another program signs its reps' tokens with. Kept as it is, because a signature can only be checked by who
-- could make it; NULL for a key that is itself shown to the server.
ALTER TABLE keys ADD COLUMN signing_secret TEXT;

-- Reps that another program vouches for, for as long as that holds.
CREATE TABLE sign_ins (
  -- SHA-256 of the secret that the rep's page has.
  digest     BLOB PRIMARY KEY NOT NULL,
  key_id     TEXT NOT NULL,
  rep_id     TEXT NOT NULL,
  rep_name   TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;

-- Tokens that were taken, so that none is taken twice; kept until they are too old anyway.
CREATE TABLE redeemed_tokens (
  key_id     TEXT NOT NULL,
  token_id   TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (key_id, token_id)
) STRICT;

-- Wordings that reps keep, and what was made of them for all.
CREATE TABLE phrases (
  id          TEXT PRIMARY KEY NOT NULL,
  -- The id of the key it was kept with; '' for this machine without keys.
  owner       TEXT NOT NULL,
  author      TEXT,
  text        TEXT NOT NULL,
  -- What it answers.
  question    TEXT,
  documents   TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('own', 'offered', 'shared')),
  approved_by TEXT,
  updated_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX phrases_by_time ON phrases (updated_at DESC, id DESC);
