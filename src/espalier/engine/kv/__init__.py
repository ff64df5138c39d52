"""The KV cache: its memory, what its rows hold, and who gets them."""
