"""Verifiers of single domains, which take the answer from a box: GLM-4.1V-Thinking's reward system (2507.01006)."""
