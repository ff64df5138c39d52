"""How long a forward pass takes, and how to learn it from measurements."""
