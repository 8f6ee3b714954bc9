# What setup.sh and run.sh share: which Swift there is.
# shellcheck shell=bash

needs_swift=6
SWIFT_ROOT=${SWIFT_ROOT:-/var/cache/swift-trixie}
export SWIFT_ROOT

say() { printf 'swift: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Whether the machine has a Swift of its own that is new enough.
own_swift() {
    have swift || return 1
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\..*/\1/p' | head -n 1)
    [ "${version:-0}" -ge "$needs_swift" ]
}

# Whether the root that setup.sh builds is there, whole and of this recipe.
root_is_ready() { [ "$(cat "$SWIFT_ROOT/.stamp" 2>/dev/null)" = "$1" ]; }
