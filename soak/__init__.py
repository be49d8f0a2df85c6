"""Long runs against the real service: `make soak kill`, `make soak calls`. Not installed with the product."""
