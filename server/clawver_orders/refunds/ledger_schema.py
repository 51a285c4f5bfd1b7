"""The shape of the ledger's file, and how an older one becomes it.

The file itself refuses a second open attempt of an order, a second attempt for one refund of
Clawver, an attempt without a decision that lets it go, and every change of what was noted. It
refuses them before the row is written: `INSERT OR REPLACE` would delete whatever conflicts with it, and
SQLite asks no trigger about that (https://sqlite.org/lang_conflict.html).
"""

import re
from typing import get_args

from clawver_orders.caller import GRADES, Grade, Reply, Verdict
from clawver_orders.refunds.records import MAY_FOLLOW, MAY_HAVE_MOVED, OPEN, UNCERTAIN, Sent
from clawver_orders.storage.sql import listed, rank, same
from clawver_orders.storage.sqlite import Schema

_FIRST_STATES = (
    "'previewed', 'sending', 'confirmed', 'failed', 'unknown', 'absent', 'declined', 'expired'"
)


_MOVES = " OR ".join(
    f"(OLD.status = '{before}' AND NEW.status IN {listed(after)})"
    for before, after in MAY_FOLLOW.items()
)
_WHOSE_WISH = ("order_id", "amount_in_cents", "in_addition_to", "sandbox")
_WHOSE_REFUND = ("order_id", "sandbox", "clawver_refund_id")
_SENT_AS = (
    "id", "refund_id", "revision", "order_id", "amount_in_cents", "reason", "refunds_before",
    "sent_at", "sent_uptime", "sent_boot", "sent_by_server", "sent_number",
)  # fmt: skip
_IS_SANDBOX = "COALESCE((SELECT sandbox FROM wish WHERE refund_id = OLD.{key}), '') <> ''"
RULES = f"""
CREATE TRIGGER wishes_are_not_replaced BEFORE INSERT ON wish
WHEN EXISTS (SELECT 1 FROM wish WHERE refund_id = NEW.refund_id OR number = NEW.number
    OR {same(_WHOSE_WISH, "NEW")})
BEGIN SELECT RAISE(ABORT, 'a refund stays what it is'); END;
CREATE TRIGGER wishes_stay_what_they_are BEFORE UPDATE ON wish
WHEN NOT {same(("refund_id", "number", "created_at", *_WHOSE_WISH), "NEW", "OLD.")}
BEGIN SELECT RAISE(ABORT, 'a refund stays what it is'); END;
CREATE TRIGGER what_was_shown_has_its_revision
BEFORE UPDATE OF revision, shown, grade_needed ON wish
WHEN NEW.revision < OLD.revision OR (NEW.revision = OLD.revision
    AND (NEW.shown <> OLD.shown OR NEW.grade_needed <> OLD.grade_needed))
BEGIN SELECT RAISE(ABORT, 'what is shown anew is a new revision'); END;
CREATE TRIGGER nothing_is_sent_without_a_decision BEFORE INSERT ON attempt
WHEN NEW.status <> 'sending' OR NOT EXISTS (
    SELECT 1 FROM wish JOIN decision
        ON decision.subject = wish.refund_id AND decision.revision = wish.revision
    WHERE wish.refund_id = NEW.refund_id AND wish.revision = NEW.revision
        AND wish.order_id = NEW.order_id AND wish.amount_in_cents = NEW.amount_in_cents
        AND verdict = 'approve' AND {rank("grade")} >= {rank("grade_needed")})
BEGIN SELECT RAISE(ABORT, 'nothing is sent without a decision'); END;
CREATE TRIGGER attempts_are_not_replaced BEFORE INSERT ON attempt
WHEN EXISTS (SELECT 1 FROM attempt WHERE id = NEW.id
    OR (order_id = NEW.order_id AND status IN {listed(OPEN)})
    OR (refund_id = NEW.refund_id AND (revision = NEW.revision OR status IN {listed(MAY_HAVE_MOVED)})))
BEGIN SELECT RAISE(ABORT, 'money may have moved already'); END;
CREATE TRIGGER attempts_stay_what_they_are BEFORE UPDATE ON attempt
WHEN NOT {same(_SENT_AS, "NEW", "OLD.")}
BEGIN SELECT RAISE(ABORT, 'an attempt stays what it is'); END;
CREATE TRIGGER what_was_found_is_kept BEFORE UPDATE ON attempt
WHEN NEW.reads_after_window < OLD.reads_after_window OR NEW.resolved < OLD.resolved
    OR NEW.number < OLD.number
BEGIN SELECT RAISE(ABORT, 'what was found out is kept'); END;
CREATE TRIGGER attempts_move_as_allowed BEFORE UPDATE OF status ON attempt
WHEN NEW.status <> OLD.status AND NOT ({_MOVES})
BEGIN SELECT RAISE(ABORT, 'that cannot follow'); END;
CREATE TRIGGER claims_are_kept BEFORE UPDATE OF clawver_refund_id ON attempt
WHEN OLD.clawver_refund_id IS NOT NULL OR EXISTS (SELECT 1 FROM attempt
    WHERE order_id = OLD.order_id AND clawver_refund_id = NEW.clawver_refund_id)
BEGIN SELECT RAISE(ABORT, 'a claim is kept'); END;
CREATE TRIGGER decisions_are_about_what_is_current BEFORE INSERT ON decision
WHEN NEW.revision IS NOT (SELECT revision FROM wish WHERE refund_id = NEW.subject)
BEGIN SELECT RAISE(ABORT, 'that revision is no longer shown'); END;
CREATE TRIGGER decisions_are_final BEFORE INSERT ON decision
WHEN EXISTS (SELECT 1 FROM decision WHERE (subject, revision) = (NEW.subject, NEW.revision))
BEGIN SELECT RAISE(ABORT, 'a decision is kept'); END;
CREATE TRIGGER decisions_are_not_edited BEFORE UPDATE ON decision
BEGIN SELECT RAISE(ABORT, 'a decision is kept'); END;
CREATE TRIGGER decisions_are_not_deleted BEFORE DELETE ON decision
WHEN NOT ({_IS_SANDBOX.format(key="subject")})
BEGIN SELECT RAISE(ABORT, 'a decision is kept'); END;
CREATE TRIGGER history_is_not_replaced BEFORE INSERT ON history
WHEN EXISTS (SELECT 1 FROM history WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER history_is_not_edited BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
WHEN NOT ({_IS_SANDBOX.format(key="refund_id")})
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER attempts_are_not_deleted BEFORE DELETE ON attempt
WHEN NOT ({_IS_SANDBOX.format(key="refund_id")})
BEGIN SELECT RAISE(ABORT, 'no refund is lost track of'); END;
CREATE TRIGGER wishes_are_not_deleted BEFORE DELETE ON wish
WHEN OLD.sandbox = ''
BEGIN SELECT RAISE(ABORT, 'no refund is lost track of'); END;
CREATE TRIGGER seen_refunds_are_not_edited BEFORE UPDATE ON seen_refund
BEGIN SELECT RAISE(ABORT, 'what was seen is only added to'); END;
CREATE TRIGGER seen_refunds_are_not_deleted BEFORE DELETE ON seen_refund
WHEN OLD.sandbox = ''
BEGIN SELECT RAISE(ABORT, 'what was seen is only added to'); END;
CREATE TRIGGER numbers_of_lines_only_grow BEFORE UPDATE ON last_line
WHEN NEW.number < OLD.number
BEGIN SELECT RAISE(ABORT, 'a number is given once'); END;
CREATE TRIGGER there_is_one_last_line BEFORE INSERT ON last_line
WHEN EXISTS (SELECT 1 FROM last_line)
BEGIN SELECT RAISE(ABORT, 'a number is given once'); END;
CREATE TRIGGER the_last_line_is_kept BEFORE DELETE ON last_line
BEGIN SELECT RAISE(ABORT, 'a number is given once'); END;
"""  # noqa: S608  # words of ours
"""What the tables refuse, in words that other engines know too."""
_ROWS = f"""
CREATE TRIGGER rows_of_wishes_are_not_replaced BEFORE INSERT ON wish
WHEN EXISTS (SELECT 1 FROM wish WHERE rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'a refund stays what it is'); END;
CREATE TRIGGER rows_of_wishes_stay BEFORE UPDATE ON wish
WHEN NEW.rowid <> OLD.rowid
BEGIN SELECT RAISE(ABORT, 'a refund stays what it is'); END;
CREATE TRIGGER seen_refunds_are_not_replaced BEFORE INSERT ON seen_refund
WHEN EXISTS (SELECT 1 FROM seen_refund WHERE {same(_WHOSE_REFUND, "NEW")})
BEGIN SELECT RAISE(IGNORE); END;
"""  # noqa: S608  # words of ours
"""What only SQLite would let pass: a row has a number of its own, and can take the place of another."""
_REMOVED = "".join(
    f"DROP TRIGGER IF EXISTS {name};\n" for name in re.findall(r"TRIGGER (\w+)", RULES + _ROWS)
)

SCHEMA = Schema(
    application_id=0x636C7672,
    steps=(
        f"""
CREATE TABLE intent (
    refund_id TEXT PRIMARY KEY NOT NULL,
    order_id TEXT NOT NULL,
    amount_in_cents INTEGER NOT NULL CHECK (amount_in_cents > 0),
    reason TEXT NOT NULL,
    in_addition_to TEXT NOT NULL,
    seen TEXT NOT NULL,
    needs_person INTEGER NOT NULL CHECK (needs_person IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ({_FIRST_STATES})),
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    baseline TEXT,
    sent_at REAL,
    sent_uptime REAL,
    absent_reads INTEGER NOT NULL DEFAULT 0,
    absent_uptime REAL,
    clawver_refund_id TEXT,
    stripe_refund_id TEXT,
    surplus TEXT NOT NULL DEFAULT '[]',
    CHECK (clawver_refund_id IS NULL OR state = 'confirmed'),
    CHECK (state IN ('previewed', 'declined', 'expired') OR baseline IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX one_open_refund_per_order ON intent (order_id)
    WHERE state IN ('sending', 'unknown');
CREATE UNIQUE INDEX one_intent_per_clawver_refund ON intent (clawver_refund_id)
    WHERE clawver_refund_id IS NOT NULL;
CREATE INDEX by_order ON intent (order_id, amount_in_cents, state, created_at);
CREATE INDEX by_time ON intent (sent_at, state, amount_in_cents);
CREATE TABLE history (
    number INTEGER PRIMARY KEY,
    refund_id TEXT NOT NULL REFERENCES intent (refund_id),
    at REAL NOT NULL,
    process INTEGER NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ({_FIRST_STATES})),
    who TEXT NOT NULL,
    client TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX by_refund ON history (refund_id);
CREATE TRIGGER history_is_not_edited BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER intents_are_not_deleted BEFORE DELETE ON intent
BEGIN SELECT RAISE(ABORT, 'no refund is lost track of'); END;
""",
        """
ALTER TABLE intent ADD COLUMN sandbox TEXT NOT NULL DEFAULT '';
DROP TRIGGER history_is_not_deleted;
CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
WHEN COALESCE((SELECT sandbox FROM intent WHERE refund_id = OLD.refund_id), '') = ''
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
DROP TRIGGER intents_are_not_deleted;
CREATE TRIGGER intents_are_not_deleted BEFORE DELETE ON intent
WHEN OLD.sandbox = ''
BEGIN SELECT RAISE(ABORT, 'no refund is lost track of'); END;
CREATE TRIGGER stores_are_not_changed BEFORE UPDATE OF sandbox ON intent
BEGIN SELECT RAISE(ABORT, 'a refund stays that of its store'); END;
CREATE TABLE seen_refund (
    order_id TEXT NOT NULL,
    sandbox TEXT NOT NULL,
    clawver_refund_id TEXT NOT NULL,
    amount_in_cents INTEGER NOT NULL CHECK (amount_in_cents > 0),
    stripe_refund_id TEXT,
    PRIMARY KEY (order_id, sandbox, clawver_refund_id)
) STRICT, WITHOUT ROWID;
""",
        f"""
CREATE TABLE boot (
    number INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    at REAL NOT NULL,
    uptime REAL NOT NULL
) STRICT;
CREATE TABLE restored (
    number INTEGER PRIMARY KEY,
    noticed TEXT NOT NULL
) STRICT;
CREATE TABLE wish (
    refund_id TEXT PRIMARY KEY NOT NULL,
    order_id TEXT NOT NULL,
    amount_in_cents INTEGER NOT NULL CHECK (amount_in_cents > 0),
    in_addition_to TEXT NOT NULL,
    sandbox TEXT NOT NULL,
    reason TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    grade_needed TEXT NOT NULL CHECK (grade_needed IN {listed(GRADES)}),
    shown TEXT NOT NULL,
    created_at REAL NOT NULL,
    previewed TEXT NOT NULL,
    UNIQUE (order_id, amount_in_cents, in_addition_to, sandbox)
) STRICT;
CREATE TABLE former_id (
    former TEXT PRIMARY KEY NOT NULL,
    refund_id TEXT NOT NULL REFERENCES wish (refund_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    refund_id TEXT NOT NULL REFERENCES wish (refund_id),
    revision INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    amount_in_cents INTEGER NOT NULL CHECK (amount_in_cents > 0),
    reason TEXT NOT NULL,
    refunds_before TEXT NOT NULL,
    sent_at REAL NOT NULL,
    sent_uptime REAL NOT NULL,
    sent_boot TEXT NOT NULL,
    sent_by_server REAL,
    status TEXT NOT NULL CHECK (status IN {listed(get_args(Sent))}),
    reads_after_window INTEGER NOT NULL DEFAULT 0,
    last_read TEXT,
    checks INTEGER NOT NULL DEFAULT 0,
    last_check TEXT,
    reported_event INTEGER NOT NULL DEFAULT 0,
    clawver_refund_id TEXT,
    stripe_refund_id TEXT,
    unexpected_refunds TEXT NOT NULL DEFAULT '[]',
    resolved INTEGER NOT NULL DEFAULT 0 CHECK (resolved IN (0, 1)),
    number INTEGER NOT NULL,
    UNIQUE (refund_id, revision),
    CHECK (clawver_refund_id IS NULL OR status = 'refunded')
) STRICT;
CREATE TABLE question (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    revision INTEGER NOT NULL,
    channel TEXT NOT NULL,
    client TEXT NOT NULL,
    asked TEXT NOT NULL,
    answer TEXT CHECK (answer IN {listed(reply.value for reply in Reply)}),
    answered_after_seconds REAL,
    shown_since INTEGER NOT NULL DEFAULT 0 CHECK (shown_since IN (0, 1))
) STRICT;
CREATE INDEX question_by_subject ON question (subject, revision);
CREATE TABLE decision (
    subject TEXT NOT NULL,
    revision INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN {listed(get_args(Verdict))}),
    grade TEXT NOT NULL CHECK (grade IN {listed(get_args(Grade))}),
    channel TEXT NOT NULL,
    who TEXT NOT NULL,
    client TEXT NOT NULL,
    made TEXT NOT NULL,
    question INTEGER,
    number INTEGER NOT NULL,
    PRIMARY KEY (subject, revision)
) STRICT, WITHOUT ROWID;

DROP TRIGGER history_is_not_edited;
DROP TRIGGER history_is_not_deleted;
DROP TRIGGER intents_are_not_deleted;
DROP TRIGGER stores_are_not_changed;
ALTER TABLE history RENAME TO former_history;
CREATE TABLE history (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    refund_id TEXT NOT NULL REFERENCES wish (refund_id),
    order_id TEXT NOT NULL,
    at REAL NOT NULL,
    process INTEGER NOT NULL,
    event TEXT NOT NULL,
    who TEXT NOT NULL,
    client TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE moving (
    former TEXT PRIMARY KEY NOT NULL,
    refund_id TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO moving
    SELECT refund_id, FIRST_VALUE(refund_id) OVER newest,
        ROW_NUMBER() OVER (PARTITION BY order_id, amount_in_cents, in_addition_to, sandbox
            ORDER BY state IN ('sending', 'unknown', 'confirmed', 'absent'), rowid)
    FROM intent
    WINDOW newest AS (PARTITION BY order_id, amount_in_cents, in_addition_to, sandbox
        ORDER BY state IN ('sending', 'unknown', 'confirmed', 'absent') DESC, rowid DESC);
INSERT INTO wish
    SELECT refund_id, order_id, amount_in_cents, in_addition_to, sandbox, reason, revision,
        iif(needs_person, 'chat', 'agent'), seen, created_at, '[0.0, 0.0, ""]'
    FROM intent JOIN moving USING (refund_id) WHERE former = refund_id
    ORDER BY intent.rowid;
INSERT INTO former_id SELECT former, refund_id FROM moving WHERE former <> refund_id;
INSERT INTO attempt (refund_id, revision, order_id, amount_in_cents, reason, refunds_before, sent_at,
        sent_uptime, sent_boot, status, reads_after_window, clawver_refund_id, stripe_refund_id,
        unexpected_refunds, number)
    SELECT moving.refund_id, revision, order_id, amount_in_cents, reason, baseline,
        COALESCE(sent_at, created_at), COALESCE(sent_uptime, 0.0), '',
        CASE state WHEN 'confirmed' THEN 'refunded' WHEN 'absent' THEN 'not_recorded'
            WHEN 'failed' THEN iif(EXISTS (SELECT 1 FROM former_history AS h WHERE
                h.refund_id = intent.refund_id AND detail = 'it never left'), 'not_sent', 'refused')
            ELSE 'unknown' END,
        0, clawver_refund_id, stripe_refund_id, surplus,
        (SELECT COALESCE(MAX(number), 0) FROM former_history AS h WHERE h.refund_id = intent.refund_id)
    FROM intent JOIN moving ON former = intent.refund_id WHERE baseline IS NOT NULL
    ORDER BY intent.rowid;
INSERT OR IGNORE INTO decision
    SELECT moving.refund_id, revision, 'decline', iif(who LIKE '%terminal%', 'console', 'chat'),
        iif(who LIKE '%terminal%', 'terminal', 'form'), who, client,
        json_array(at, 0.0, ''), NULL, number
    FROM former_history JOIN moving ON former = former_history.refund_id WHERE event = 'declined'
    ORDER BY number DESC;
INSERT INTO history
    SELECT number, moving.refund_id, order_id, at, process,
        CASE event WHEN 'previewed' THEN 'waiting' WHEN 'confirmed' THEN 'refunded'
            WHEN 'absent' THEN 'not_recorded'
            WHEN 'failed' THEN iif(detail = 'it never left', 'not_sent', 'refused')
            WHEN 'surplus' THEN 'unexpected' ELSE event END,
        who, client, detail
    FROM former_history JOIN moving ON former = former_history.refund_id
        JOIN intent ON intent.refund_id = former_history.refund_id;
DROP TABLE former_history;
DROP TABLE moving;
DROP TABLE intent;
ALTER TABLE seen_refund ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE seen_refund ADD COLUMN created_at REAL;

CREATE UNIQUE INDEX one_open_attempt_per_order ON attempt (order_id)
    WHERE status IN {listed(OPEN)};
CREATE UNIQUE INDEX one_attempt_per_clawver_refund ON attempt (order_id, clawver_refund_id)
    WHERE clawver_refund_id IS NOT NULL;
CREATE INDEX attempt_by_uptime ON attempt (sent_boot, sent_uptime);
CREATE INDEX attempt_by_time ON attempt (sent_at);
CREATE INDEX attempt_by_order ON attempt (order_id);
CREATE INDEX history_by_refund ON history (refund_id);
CREATE INDEX history_by_order ON history (order_id, number);
""",  # noqa: S608  # words of ours
        "ALTER TABLE decision ADD COLUMN policy TEXT NOT NULL DEFAULT '';",
        f"""
CREATE INDEX attempt_uncertain ON attempt (refund_id) WHERE status IN {listed(UNCERTAIN)};
CREATE INDEX wish_by_preview ON wish (json_extract(previewed, '$[0]'));
""",
        "ALTER TABLE question ADD COLUMN nonce_digest TEXT;",
        f"""
{_REMOVED}
ALTER TABLE wish ADD COLUMN previewed_at REAL NOT NULL DEFAULT 0;
ALTER TABLE wish ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE wish SET previewed_at = json_extract(previewed, '$[0]'), number = rowid;
DROP INDEX wish_by_preview;
CREATE INDEX wish_by_preview ON wish (previewed_at);
CREATE UNIQUE INDEX wish_by_number ON wish (number);
CREATE TABLE last_line (number INTEGER NOT NULL CHECK (number >= 0)) STRICT;
INSERT INTO last_line SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'history'), 0);
""",  # noqa: S608  # words of ours
        f"""
{_REMOVED}
ALTER TABLE history ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN sent_number INTEGER NOT NULL DEFAULT 0;
UPDATE attempt SET sent_number = number;
ALTER TABLE restored ADD COLUMN last_line INTEGER NOT NULL DEFAULT 0;
UPDATE restored SET last_line = (SELECT number FROM last_line);
DROP TABLE boot;
CREATE TABLE look (
    boot TEXT NOT NULL,
    number INTEGER NOT NULL,
    at REAL NOT NULL,
    uptime REAL NOT NULL,
    PRIMARY KEY (boot, number)
) STRICT, WITHOUT ROWID;
{RULES}
{_ROWS}
""",  # noqa: S608  # words of ours
    ),
)
