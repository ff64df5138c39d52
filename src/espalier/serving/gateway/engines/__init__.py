"""The engines behind the gateway: how they are addressed, their health, and their estimated state."""
