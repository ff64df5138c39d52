"""The command line. A verb imports what it needs when it is used, so that `espalier --help` is quick."""
