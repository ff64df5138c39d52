"""What every domain needs and nothing else: config, run folder, metrics, report, data root, seeds, errors."""
