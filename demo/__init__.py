"""Four calls through the proxy, and what became of them: `make demo`. Not part of the installed package."""
