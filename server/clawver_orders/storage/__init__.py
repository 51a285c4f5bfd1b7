"""What survives the process: SQLite files, private folders, keys."""
