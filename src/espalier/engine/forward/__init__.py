"""The forward pass of one engine step: attention over the cache, and the decoder around it."""
