#!/usr/bin/env bash
# Brings a fresh clone to where the program runs: tools, packages, build. Does only what is missing.
#   scripts/setup.sh            everything, for the program and its tests
# The other scripts source this file and call the functions that they need.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly NODE_MAJOR=20

# What to install (Debian's names) where a command is missing.
readonly RUN_TOOLS=(rsync:rsync)
readonly TEST_TOOLS=(rsync:rsync git:git ssh:openssh-client sshd:openssh-server ps:procps tar:tar script:bsdutils unshare:util-linux)

say() { printf '==> %s\n' "$*" >&2; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

ensure_node() {
  local found
  command -v node >/dev/null || fail "Node.js $NODE_MAJOR or later is needed and was not found. See https://nodejs.org/en/download"
  command -v npm >/dev/null || fail "npm is needed and was not found. It comes with Node.js: https://nodejs.org/en/download"
  found="$(node -p 'process.versions.node')"
  [[ "${found%%.*}" -ge $NODE_MAJOR ]] || fail "Node.js $NODE_MAJOR or later is needed; $(command -v node) is $found. See https://nodejs.org/en/download"
}

# ensure_tools COMMAND:PACKAGE...
ensure_tools() {
  local pair packages=()
  # sshd lies where only root's PATH leads.
  local PATH="$PATH:/usr/sbin"
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
  done
  [[ ${#packages[@]} -gt 0 ]] || return 0
  local install="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
  if ! command -v apt-get >/dev/null; then
    fail "missing: ${packages[*]} (Debian's names of the packages). Install them with this system's package manager and run this again."
  fi
  if [[ "$(id -u)" -ne 0 ]]; then
    fail "missing: ${packages[*]}. Run this, then try again:
  sudo sh -c '$install'"
  fi
  say "installing ${packages[*]}"
  apt-get update -qq >&2
  without_services apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
}

# Runs apt-get so that no package starts a service of its own: the tests' sshd and rsync daemons are theirs alone
# (policy-rc.d is what Debian's packages ask; one that is there already stays).
without_services() {
  local policy=/usr/sbin/policy-rc.d status=0 is_ours=""
  if [[ ! -e "$policy" ]]; then
    is_ours=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive "$@" || status=$?
  [[ -z "$is_ours" ]] || rm -f "$policy"
  return "$status"
}

ensure_modules() {
  # npm writes this file last: without it an installation was not finished.
  local installed="$ROOT/node_modules/.package-lock.json"
  if [[ ! -e "$installed" || "$ROOT/package-lock.json" -nt "$installed" ]]; then
    say "npm ci"
    (cd "$ROOT" && npm ci --no-audit --no-fund >&2)
  fi
}

ensure_build() {
  local main="$ROOT/dist/main.js"
  if [[ ! -e "$main" ]] || [[ -n "$(find "$ROOT/src" "$ROOT/tsconfig.json" "$ROOT/package.json" -newer "$main" -print -quit)" ]]; then
    say "npm run build"
    (cd "$ROOT" && npm run --silent build >&2)
  fi
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  ensure_node
  ensure_tools "${TEST_TOOLS[@]}"
  ensure_modules
  ensure_build
  say "ready: node $ROOT/dist/main.js -h"
fi
