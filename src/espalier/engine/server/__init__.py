"""An OpenAI-compatible server over the embedded engine."""
