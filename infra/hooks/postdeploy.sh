#!/bin/sh
# After code went out: one dry run through queue, app, Microsoft Graph and tables.
set -eu
cd "$(dirname "$0")/../.."
make --silent setup
exec .venv/bin/python -m local.deployment.smoke
