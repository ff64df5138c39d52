"""Where a formation lies among agents of which some have failed: the similarity that brings slots onto positions."""
