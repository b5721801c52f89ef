#!/usr/bin/env bash
# Shows the program at work: three rsync daemons on loopback, a source that changes, and how far each remote is.
#   scripts/demo.sh                      a source of its own, with changes made while it runs
#   scripts/demo.sh DIR                  your directory as the source (it is only read); change it yourself
#   SERSYNC_DEMO_SECONDS=60 scripts/demo.sh
# On a terminal it runs until Ctrl-C, otherwise for 20 s. Exit code 0 when every remote equals the source at the end.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

ensure_node
ensure_tools "${RUN_TOOLS[@]}"
ensure_modules
ensure_build
exec node "$ROOT/scripts/demo.mjs" "$@"
