"""``python -m ncollapse``."""

from ncollapse.cli import main

if __name__ == "__main__":
    main()
