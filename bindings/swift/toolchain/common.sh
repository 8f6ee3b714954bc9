# What setup.sh and run.sh share: which Swift there is.
# shellcheck shell=bash

needs_swift=6
SWIFT_ROOT=${SWIFT_ROOT:-/var/cache/swift-trixie}
# Where setup.sh unpacks a release of swift.org; found as if it were the machine's own.
SWIFT_RELEASE=${SWIFT_RELEASE:-${XDG_CACHE_HOME:-${HOME:-/var}/.cache}/sealpost-swift}
export SWIFT_ROOT SWIFT_RELEASE

say() { printf 'swift: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Whether the machine has a Swift of its own that is new enough.
own_swift() {
    if release_is_there; then PATH=$SWIFT_RELEASE/usr/bin:$PATH; fi
    have swift || return 1
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\..*/\1/p' | head -n 1)
    [ "${version:-0}" -ge "$needs_swift" ]
}

release_is_there() { [ -x "$SWIFT_RELEASE/usr/bin/swift" ]; }

# Whether this process may mount, in a namespace of its own: not without root, and not in most containers.
may_mount() { unshare --mount --pid --fork --propagation private mount -t tmpfs tmpfs /tmp 2>/dev/null; }

# Whether the root that setup.sh builds is there, whole and of this recipe.
root_is_ready() { [ "$(cat "$SWIFT_ROOT/.stamp" 2>/dev/null)" = "$1" ]; }
