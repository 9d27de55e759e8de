"""`python -m local.host`."""

import sys

from local.host.run import main

sys.exit(main())
