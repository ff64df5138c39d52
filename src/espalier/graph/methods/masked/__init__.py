"""Masked auto-encoders: GraphMAE, GraphMAE2, PGT."""
