"""Methods that reconstruct the graph's links: GAE, VGAE, and the adversarial ARGVA."""
