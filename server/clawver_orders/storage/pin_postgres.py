"""The shape in PostgreSQL of a store's PIN and of the tries that were wrong."""

STEPS = (
    """
CREATE TABLE pin (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    salt BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    costs TEXT NOT NULL,
    is_long BIGINT NOT NULL CHECK (is_long IN (0, 1)),
    set_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE tries (
    has_session BIGINT PRIMARY KEY CHECK (has_session IN (0, 1)),
    wrong BIGINT NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    last_uptime DOUBLE PRECISION NOT NULL,
    last_boot TEXT NOT NULL
);
""",
)
"""One script for each version, oldest first."""
