"""C kernels for the decoder's layers and their gradients: fp32 on CPU."""
