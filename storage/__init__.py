"""The book of record: nouns, catalogue, clip files, keys, audit log."""
