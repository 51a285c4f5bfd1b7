"""The shape of the order history in PostgreSQL: the same tables as in its file, but for the index of words."""

from clawver_orders.history.summing import TABLES

_PAID = "('paid', 'partially_refunded', 'refunded')"
_TABLES = f"""
CREATE TABLE known (
    key INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    whole BLOB,
    whole_at REAL,
    row BLOB,
    row_at REAL,
    marked_at REAL,
    sandbox TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('list', 'read', 'event')),
    is_due INTEGER NOT NULL CHECK (is_due IN (0, 1)),
    is_thin INTEGER NOT NULL CHECK (is_thin IN (0, 1)),
    status TEXT,
    payment_status TEXT,
    mailbox TEXT,
    words TEXT
);
CREATE INDEX known_by_mailbox ON known (mailbox, key) WHERE mailbox IS NOT NULL;
CREATE INDEX known_by_status ON known (status, key) WHERE status IS NOT NULL;
CREATE INDEX known_by_payment ON known (payment_status, key) WHERE payment_status IS NOT NULL;
CREATE INDEX known_due ON known (key) WHERE is_due = 1;
CREATE INDEX known_thin ON known (key) WHERE is_thin = 1;
CREATE TABLE short_word (
    word TEXT NOT NULL,
    key INTEGER NOT NULL,
    PRIMARY KEY (word, key)
);
CREATE TABLE mirror (
    is_it INTEGER PRIMARY KEY CHECK (is_it = 1),
    began_at REAL NOT NULL,
    last_event INTEGER NOT NULL DEFAULT 0,
    synced_at REAL,
    counted_at REAL,
    counted INTEGER,
    paid_then INTEGER,
    orders INTEGER NOT NULL DEFAULT 0,
    paid INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE forgotten (digest BLOB PRIMARY KEY);
CREATE TABLE digest_key (is_it INTEGER PRIMARY KEY CHECK (is_it = 1), key BLOB NOT NULL);
CREATE TABLE noticed (
    order_id TEXT NOT NULL,
    what TEXT NOT NULL,
    became TEXT NOT NULL,
    after REAL NOT NULL,
    until REAL NOT NULL
);
CREATE INDEX noticed_by_order ON noticed (order_id, until);
{TABLES}
"""
_RULES = f"""
CREATE FUNCTION instr(TEXT, TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS 'SELECT strpos($1, $2)::BIGINT';
CREATE FUNCTION count_orders() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $rule$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE mirror SET orders = orders + 1,
            paid = paid + CASE WHEN NEW.payment_status IN {_PAID} THEN 1 ELSE 0 END;
    ELSE
        UPDATE mirror SET orders = orders - 1,
            paid = paid - CASE WHEN OLD.payment_status IN {_PAID} THEN 1 ELSE 0 END;
    END IF;
    RETURN NULL;
END $rule$;
CREATE TRIGGER one_more AFTER INSERT ON known FOR EACH ROW WHEN (NEW.words IS NOT NULL)
    EXECUTE FUNCTION count_orders();
CREATE TRIGGER one_less AFTER DELETE ON known FOR EACH ROW WHEN (OLD.words IS NOT NULL)
    EXECUTE FUNCTION count_orders();
"""  # noqa: S608  # words of ours


def _types(script: str) -> str:
    """SQLite's types as PostgreSQL has them; texts are sorted as SQLite sorts them."""
    for theirs, ours in (
        (" TEXT", ' TEXT COLLATE "C"'),
        (" INTEGER", " BIGINT"),
        (" REAL", " DOUBLE PRECISION"),
        (" BLOB", " BYTEA"),
        (" STRICT, WITHOUT ROWID;", ";"),
        (" STRICT;", ";"),
    ):
        script = script.replace(theirs, ours)
    return script


STEPS = (_types(_TABLES) + _RULES,)
"""One script for each version, oldest first."""
