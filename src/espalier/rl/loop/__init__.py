"""The training loop: issue, collect, train, publish, evaluate, save."""
