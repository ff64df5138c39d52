"""Language models: tokens and chat rendering, decoder, heads, adapters, weight files."""
