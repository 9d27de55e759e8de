"""Build the package that is deployed, the tested one, and lay it out for azd."""

import sys

from hook import run

sys.exit(run("local.package", "--unpacked", packages=False))
