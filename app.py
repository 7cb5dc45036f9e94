"""The browser application: `python app.py`, then open http://localhost:7860."""

import sys

if __name__ == "__main__":
    from app.main import main

    sys.exit(main())
