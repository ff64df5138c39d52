"""Contrastive methods: node against summary (DGI, MVGRL), node against node (GRACE, BGRL, CCA-SSG)."""
