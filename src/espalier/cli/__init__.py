"""The command line. A command imports what it needs when it is used, so that `espalier --help` is quick."""
