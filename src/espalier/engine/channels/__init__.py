"""How new weights get from the learner to an engine: one module for each way, with both of its ends."""
