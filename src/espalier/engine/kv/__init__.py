"""The KV cache: its memory, the contents of its rows, and row allocation."""
