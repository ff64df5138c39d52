"""Token generation: the embedded continuous-batching engine and its OpenAI-compatible server."""
