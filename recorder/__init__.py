"""The application: decision, media, capture, composition root, configuration, command line."""
