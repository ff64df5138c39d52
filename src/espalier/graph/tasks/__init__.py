"""How embeddings are judged."""
