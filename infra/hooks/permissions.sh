#!/bin/sh
# By hand, by a Privileged Role Administrator: grant the app's identity what it needs in Microsoft
# Graph. With --show it only says what is there. Without azd: export the names that are read below.
set -eu
cd "$(dirname "$0")/../.."
if [ -z "${RELINK_IDENTITY_PRINCIPAL_ID:-}" ]; then
  set -a
  eval "$(azd env get-values)"
  set +a
fi
make --silent setup
exec .venv/bin/python -m local.deployment.permissions "$@"
