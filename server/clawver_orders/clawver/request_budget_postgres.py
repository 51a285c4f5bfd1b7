"""The shape of a store's request allowance in PostgreSQL: a row for each request of the last day."""

STEPS = (
    """
CREATE TABLE request (at DOUBLE PRECISION NOT NULL);
CREATE INDEX request_by_time ON request (at);
""",
)
"""One script for each version, oldest first."""
