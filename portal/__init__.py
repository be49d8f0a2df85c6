"""Who may listen, listens and answers for it."""
