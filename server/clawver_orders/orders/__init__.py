"""What an order tells. No I/O but the search."""
