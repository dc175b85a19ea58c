"""The command line: arguments to requests, answers to tables. Speaks REST like everybody else."""
