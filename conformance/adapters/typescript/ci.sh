#!/usr/bin/env bash
# Everything that has to hold for the TypeScript client and codec: what is generated is fresh, it compiles, its tests pass.
set -euo pipefail
cd "$(dirname "$0")"
# Nothing that is installed runs a script of its own: esbuild's program comes as a package.
npm ci --ignore-scripts --no-audit --no-fund
npm run generate -- --check
npm run build
npx prettier --check . --log-level warn
npm test
