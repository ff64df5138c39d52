"""GGUF files, the format of llama.cpp: configuration, weights, tokenizer and chat template in one file."""
