"""``python -m slowprobe``, so that ``torchrun -m slowprobe profile train.py`` works."""

from slowprobe.cli import main

if __name__ == "__main__":
    main()
