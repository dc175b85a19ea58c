"""The commands `haldir` and `haldir-guardian`."""

from haldir.faces.cli.main import main

if __name__ == "__main__":
    main()
