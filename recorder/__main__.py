"""`doelband` and `python -m recorder`."""

from __future__ import annotations

from recorder.cli import main

if __name__ == "__main__":
    main()
