"""The shape in PostgreSQL of the keys that the servers of a store share."""

STEPS = (
    """
CREATE TABLE secret_key (
    name TEXT PRIMARY KEY NOT NULL,
    value BYTEA NOT NULL CHECK (length(value) = 32)
);
""",
)
"""One script for each version, oldest first."""
