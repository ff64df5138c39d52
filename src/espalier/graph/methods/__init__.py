"""Self-supervised methods, each a file that reads like its paper; by the survey's families: masked, contrastive, generative."""
