"""Long runs against the real service: `make soak kill`, `make soak calls`. Not part of the installed package."""
