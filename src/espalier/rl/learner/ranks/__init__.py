"""One model trained by several processes, which divide its weights and the rows of a step."""
