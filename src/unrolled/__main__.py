"""`python -m unrolled`, as torchrun starts it."""

from unrolled.cli.main import main

if __name__ == "__main__":
    main()
