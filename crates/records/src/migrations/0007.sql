-- What the files of the knowledge folder were: each state with who or what made it so. The bytes lie beside this
-- database under their SHA-256.
CREATE TABLE versions (
  id INTEGER PRIMARY KEY,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  modified TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT,
  action TEXT NOT NULL
) STRICT;
CREATE INDEX versions_by_path ON versions (path, id);
CREATE INDEX versions_by_content ON versions (sha256);
