"""The folder of committed shards, receipts and catalogue: writing, reading, checking."""
