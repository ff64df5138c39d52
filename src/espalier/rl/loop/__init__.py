"""The one loop: issue, collect, train, publish, evaluate, save."""
