"""Self-supervised methods, each a file that reads like its paper, by family: masked, contrastive, generative."""
