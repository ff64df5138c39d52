"""TreeRL (arXiv 2506.11902): attempts that fork where the policy was surprised, and the credit of each segment."""
