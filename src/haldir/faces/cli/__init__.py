"""The command line: a face that speaks REST."""
