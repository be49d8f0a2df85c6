"""SIP signalling as events and commands; imports nothing of the other packages."""
