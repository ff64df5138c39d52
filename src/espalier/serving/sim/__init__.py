"""A discrete-event simulator of lock-step engines, driven by the scheduler that the gateway uses."""
