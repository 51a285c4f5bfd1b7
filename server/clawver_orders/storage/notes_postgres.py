"""The shape in PostgreSQL of the list of stores, and which one an alias means.

A key is known by its fingerprint alone. `another` is the store that it was found to open later.
"""

STEPS = (
    """
CREATE TABLE opened (
    fingerprint TEXT PRIMARY KEY NOT NULL,
    store_id TEXT NOT NULL,
    name TEXT NOT NULL,
    is_test BIGINT NOT NULL CHECK (is_test IN (0, 1)),
    another TEXT NOT NULL DEFAULT ''
);
CREATE TABLE alias (
    alias TEXT PRIMARY KEY NOT NULL,
    store_id TEXT NOT NULL UNIQUE
);
""",
)
"""One script for each version, oldest first."""
