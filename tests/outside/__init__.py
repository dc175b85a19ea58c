"""What others wrote and our tests run: fetched by `make`, pinned beside this file, kept in the virtual environment."""
