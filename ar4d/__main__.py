"""`python -m ar4d`."""

import sys

from ar4d.cli import main

sys.exit(main())
