"""`python -m dnntrain` is the command line."""

from dnntrain.cli import main

if __name__ == "__main__":
    main()
