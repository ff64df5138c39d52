"""Ways to hold a formation side by side, and how long a plan takes."""
