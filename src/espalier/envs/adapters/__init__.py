"""Tasks from elsewhere: reasoning-gym, JSON-lines files, the user's own code."""
