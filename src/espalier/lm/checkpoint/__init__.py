"""Checkpoints: Hugging Face folders and GGUF files, found, read and written."""
