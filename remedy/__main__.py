"""`python -m remedy` is the `remedy` command."""

from remedy.cli.main import main

if __name__ == "__main__":
    main()
