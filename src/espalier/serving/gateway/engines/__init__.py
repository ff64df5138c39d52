"""What the gateway knows of the engines behind it: how they are addressed, how they are, and what they are doing."""
