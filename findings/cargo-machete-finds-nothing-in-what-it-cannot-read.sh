#!/usr/bin/env bash
# cargo-machete 0.9.2, Cargo 1.91 or later; 1 December 2026.
#
# What it does: a package names its workspace in `package.workspace`, because the folder of another workspace, which excludes it,
# lies between the two: fuzz targets beside their fuzzing binaries are laid out so. Cargo resolves it. cargo-machete takes the
# workspace of the nearest folder instead, does not find the inherited dependencies there, leaves the package out, and ends with
# "didn't find any unused dependencies ... Good job!" and status 0, with and without --with-metadata. The dependency that
# nothing uses stays unfound; made a member without a folder in between, the same package is reported, with status 1.
#
# Why that surprises: `package.workspace` exists for exactly this layout, `--with-metadata` promises to ask Cargo, and status 0 is what
# a check in CI goes by: a package that was never looked at passes for clean. Only a line on standard error tells.
#
# Output seen:
#   workspace in between  status 0, Good job!, error when handling
#   nothing in between    status 1, unused: itoa
set -euo pipefail

expected='workspace in between  status 0, Good job!, error when handling
nothing in between    status 1, unused: itoa'

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cargo install cargo-machete --version 0.9.2 --locked --debug --root tools --config profile.dev.debug=0 >install.log 2>&1 || {
  cat install.log
  exit 1
}

mkdir -p house/src house/fuzz/src house/fuzz/targets/src
cd house
touch src/lib.rs fuzz/src/lib.rs fuzz/targets/src/lib.rs
package() { printf '[package]\nname = "%s"\nversion = "0.1.0"\nedition = "2024"\n' "$1"; }
{
  package house
  printf '[workspace]\nmembers = [".", "fuzz/targets"]\nexclude = ["fuzz"]\n[workspace.dependencies]\nitoa = "=1.0.15"\n'
} >Cargo.toml
{
  package fuzz
  printf '[workspace]\nexclude = ["targets"]\n'
} >fuzz/Cargo.toml
{
  package targets
  printf 'workspace = "../.."\n[dependencies]\nitoa.workspace = true\n'
} >fuzz/targets/Cargo.toml
cargo check --quiet --workspace

# Status, and what it says of the package.
machete() {
  local status=0
  "$folder/tools/bin/cargo-machete" --with-metadata >out 2>err || status=$?
  printf 'status %s' "$status"
  if grep -q 'Good job!' out; then printf ', Good job!'; fi
  if grep -q 'error when handling' err; then printf ', error when handling'; fi
  if grep -q '^[[:space:]]*itoa$' out; then printf ', unused: itoa'; fi
  printf '\n'
}
seen="workspace in between  $(machete)"
rm fuzz/Cargo.toml
seen+=$'\n'"nothing in between    $(machete)"
printf '%s\n' "$seen"
[[ $seen == "$expected" ]] || {
  printf 'expected:\n%s\n' "$expected"
  exit 1
}
