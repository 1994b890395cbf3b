-- What curators do about questions without an answer and about wrong answers. Times are milliseconds since 1970.

-- Rows that were written in the console, and whether they answer what they were written for.
CREATE TABLE curated (
  id          TEXT PRIMARY KEY NOT NULL,
  -- The document that the row becomes in the index.
  document_id TEXT NOT NULL,
  path        TEXT NOT NULL,
  question    TEXT NOT NULL,
  answer      TEXT NOT NULL,
  audience    TEXT NOT NULL,
  -- Name of the key that it was written with; NULL for this machine.
  author      TEXT,
  written_at  INTEGER NOT NULL
) STRICT;

ALTER TABLE gaps ADD COLUMN state TEXT NOT NULL DEFAULT 'open'
  CHECK (state IN ('open', 'waiting', 'closed', 'dismissed'));
-- The row that is to answer it.
ALTER TABLE gaps ADD COLUMN curated_id TEXT REFERENCES curated (id);
-- Why it is still open although there is a row.
ALTER TABLE gaps ADD COLUMN why TEXT;
ALTER TABLE gaps ADD COLUMN checked_at INTEGER;
CREATE INDEX gaps_by_row ON gaps (curated_id) WHERE curated_id IS NOT NULL;

-- Who asked: the id of a key, '' for this machine without keys.
CREATE TABLE gap_askers (
  gap_id  INTEGER NOT NULL REFERENCES gaps (id) ON DELETE CASCADE,
  asker   TEXT NOT NULL,
  count   INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (gap_id, asker)
) STRICT;
-- Before this only the last conversation was known.
INSERT INTO gap_askers (gap_id, asker, count, last_at)
  SELECT gaps.id, coalesce(sessions.owner, ''), gaps.count, gaps.last_at
  FROM gaps JOIN sessions ON sessions.id = gaps.last_session;

ALTER TABLE feedback ADD COLUMN state TEXT NOT NULL DEFAULT 'open'
  CHECK (state IN ('open', 'approved', 'dismissed'));
ALTER TABLE feedback ADD COLUMN curated_id TEXT REFERENCES curated (id);
ALTER TABLE feedback ADD COLUMN settled_by TEXT;
ALTER TABLE feedback ADD COLUMN settled_at INTEGER;
