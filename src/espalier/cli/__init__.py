"""The command line. A domain is imported only when its verb is used."""
