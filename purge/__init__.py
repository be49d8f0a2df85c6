"""Nothing outlives its purpose."""
