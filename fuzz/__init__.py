"""`make fuzz`: damaged messages through the whole of signalling, from the bytes to the decision to record."""
