"""GraphAlign: one encoder for many graphs."""
