"""By hand, by a Privileged Role Administrator: grant what is missing; --show only looks."""

import sys

from hook import run

sys.exit(run("local.deployment.permissions", *sys.argv[1:]))
