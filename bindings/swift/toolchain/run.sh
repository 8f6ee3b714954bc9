#!/usr/bin/env bash
# Runs a command that needs Swift: with the machine's own, else in the root that setup.sh built.
#   run.sh FOLDER[:FOLDER...] COMMAND [ARGUMENT...]
# The command runs in the first folder. In the root, the folders are there under the same paths, the network is the
# machine's, /tmp is empty, and of the environment only what begins with SEALPOST_ or SWIFT_ is passed on. Mounts and
# processes are in namespaces of their own, so that neither outlives the command.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=bindings/swift/toolchain/common.sh
. "$here/common.sh"

folders=$1
shift
cd "${folders%%:*}"
if own_swift; then exec "$@"; fi

[ -e "$SWIFT_ROOT/.stamp" ] || die "no Swift $needs_swift: run $here/setup.sh first"
may_mount || die "working in $SWIFT_ROOT needs root and the right to mount; or put a Swift $needs_swift into PATH, see $here/setup.sh"

environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 TERM="${TERM:-dumb}")
while IFS= read -r name; do
    environment+=("$name=${!name}")
done < <(compgen -e | grep -E '^(SEALPOST|SWIFT)_')

export folders
exec unshare --mount --pid --fork --kill-child=KILL --propagation private bash -euc '
    mount -t proc proc "$SWIFT_ROOT/proc"
    mount --rbind /dev "$SWIFT_ROOT/dev"
    # First, as a folder may lie in it.
    mount -t tmpfs tmpfs "$SWIFT_ROOT/tmp"
    IFS=:
    # The first: whom the machine trusts.
    for folder in /etc/ssl $folders; do
        mkdir -p "$SWIFT_ROOT$folder"
        mount --rbind "$folder" "$SWIFT_ROOT$folder"
    done
    unset IFS
    exec chroot "$SWIFT_ROOT" env -i "$@"
' run "${environment[@]}" sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
