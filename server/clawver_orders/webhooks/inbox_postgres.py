"""The shape of the inbox in PostgreSQL: the same tables as in its file, in the current version of that."""

STEPS = (
    """
CREATE TABLE event (
    number BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    order_id TEXT COLLATE "C",
    at DOUBLE PRECISION,
    received_at DOUBLE PRECISION NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX event_by_order ON event (order_id, number);
CREATE INDEX event_by_name ON event (name, number);
CREATE INDEX event_by_arrival ON event (received_at);
CREATE TABLE digest (sha256 BYTEA PRIMARY KEY);
CREATE TABLE receiver (
    receiver_id TEXT COLLATE "C" PRIMARY KEY,
    started_at DOUBLE PRECISION NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    stopped_at DOUBLE PRECISION,
    delivered_at DOUBLE PRECISION
);
CREATE TABLE refusal (
    receiver_id TEXT COLLATE "C" NOT NULL,
    cause TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (receiver_id, cause)
);
CREATE TABLE last_event (number BIGINT NOT NULL);
INSERT INTO last_event VALUES (0);
""",
)
"""One script for each version, oldest first."""
