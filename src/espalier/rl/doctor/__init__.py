"""What the metrics of training say about its health: rules as pure functions. Imports without torch."""
