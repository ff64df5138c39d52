"""Robots that map the ground and move over it, alone or in formation."""
