#!/bin/sh
# By hand, by a Privileged Role Administrator: grant the app's identity what it needs in Microsoft
# Graph. With --show it only says what is there. It asks azd for
# its environment; without azd: export what it names.
set -eu
cd "$(dirname "$0")/../.."
make --silent setup
exec .venv/bin/python -m local.deployment.permissions "$@"
