"""What points say of the ground around them."""
