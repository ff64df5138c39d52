"""Methods that generate the graph's links: GAE, VGAE, and the adversarial ARGVA."""
