CREATE TABLE rows (
    number   INTEGER PRIMARY KEY,
    tbl      TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    owner    TEXT,
    uniq     TEXT,
    due      INTEGER,
    mac      BLOB    NOT NULL,
    -- Of the body, which lies in the table below and is longer there.
    length   INTEGER NOT NULL,
    -- Of everything but the number.
    checksum BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX rows_by_id ON rows (tbl, id);
CREATE UNIQUE INDEX rows_by_unique ON rows (tbl, uniq) WHERE uniq IS NOT NULL;
CREATE INDEX rows_by_owner ON rows (tbl, owner, id) WHERE owner IS NOT NULL;
CREATE INDEX rows_by_due ON rows (tbl, due, id) WHERE due IS NOT NULL;
CREATE INDEX rows_by_due_of_owner ON rows (tbl, owner, due, id) WHERE due IS NOT NULL;

-- Laid out so that no page of the tree holds a piece of a body; bodies.rs says why and how.
CREATE TABLE bodies (
    number INTEGER PRIMARY KEY,
    lead   BLOB NOT NULL,
    body   BLOB NOT NULL
) STRICT;
