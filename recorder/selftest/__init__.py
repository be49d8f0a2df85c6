"""`doelband selftest`: telephones of our own try on the running service what must never be recorded."""
