#!/usr/bin/env bash
# All checks and tests. The last line is "N passed, N failed"; exit code 0 only when nothing failed.
#   scripts/test.sh                      everything
#   scripts/test.sh --project unit       arguments go to vitest: a project, a part of a file's name, -t TITLE ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

ensure_node
ensure_tools "${TEST_TOOLS[@]}"
ensure_modules
cd "$ROOT"

failed_checks=()

# check NAME COMMAND...: goes on when it fails, so that one run shows all that is wrong.
check() {
  local name="$1"
  shift
  say "$name"
  if ! "$@"; then
    failed_checks+=("$name")
    say "FAILED: $name"
  fi
}

# finish PASSED FAILED
finish() {
  local failed=$(($2 + ${#failed_checks[@]}))
  [[ ${#failed_checks[@]} -eq 0 ]] || printf 'failed check: %s\n' "${failed_checks[@]}"
  printf '%d passed, %d failed\n' "$1" "$failed"
  [[ $failed -eq 0 ]] || exit 1
  exit 0
}

bin="$ROOT/node_modules/.bin"
check 'formatting (prettier)' "$bin/prettier" --check --log-level warn .
check 'lint (eslint)' "$bin/eslint" .
check 'imports (dependency-cruiser)' "$bin/depcruise" --config .dependency-cruiser.cjs src
check 'types of the tests (tsc)' "$bin/tsc" -p tsconfig.test.json
check 'build' npm run --silent build
# Integration and system tests run dist/: they would judge an older program.
[[ " ${failed_checks[*]-} " != *' build '* ]] || finish 0 0

report="$(mktemp)"
trap 'rm -f "$report"' EXIT
say 'tests (vitest)'
vitest_exit=0
"$bin/vitest" run --reporter=default --reporter=json --outputFile.json="$report" "$@" || vitest_exit=$?

# A file that cannot be loaded, and an error outside of any test, fail without a failed test: they count as one each.
counts="$(
  node -e '
    const [report, exitCode] = process.argv.slice(1);
    let result = { numPassedTests: 0, numFailedTests: 0, testResults: [] };
    try { result = JSON.parse(require("node:fs").readFileSync(report, "utf8")); } catch { /* vitest ended before it wrote: exitCode says so */ }
    const isBroken = (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed");
    const failed = result.numFailedTests + result.testResults.filter(isBroken).length;
    console.log(result.numPassedTests, failed === 0 && exitCode !== "0" ? 1 : failed);
  ' "$report" "$vitest_exit"
)"
# shellcheck disable=SC2086 # two numbers
finish $counts
