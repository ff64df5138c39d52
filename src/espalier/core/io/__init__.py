"""Files and text: written whole, read with errors that name file and line."""
