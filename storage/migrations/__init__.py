"""The catalogue's schema, step by step (alembic). `storage.database` runs them when a catalogue is opened."""
