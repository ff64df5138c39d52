"""One trainer for every method: batches, optimizer, checkpoints."""
