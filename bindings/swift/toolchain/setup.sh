#!/usr/bin/env bash
# Sees to a Swift of version 6 or newer, and leaves alone what is there. In this order:
#   1. the machine's own;
#   2. Debian's package, where this system has it;
#   3. on an older Debian, with root and the right to mount: a small root of the first release that has it, in $SWIFT_ROOT,
#      for run.sh to work in, with the machine's own apt settings. About four minutes, 600 MB of packages, 1.6 GB of disk, once;
#   4. the release of swift.org for this system, in $SWIFT_RELEASE: without root, about 900 MB to fetch.
# Says on standard error what it does, and at the end what to do by hand.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=bindings/swift/toolchain/common.sh
. "$here/common.sh"

suite=trixie # the first release of Debian with Swift 6
packages="swiftlang libc6-dev libstdc++-14-dev zlib1g-dev tzdata"
stamp="v1 $suite $packages"

# What swift.org's release wants to find beside itself.
companions="binutils ca-certificates g++ libc6-dev libcurl4-openssl-dev libxml2-dev libz3-dev zlib1g-dev tzdata"
release=6.0.3

main() {
    own_swift && return
    if root_is_ready "$stamp" && may_mount; then return; fi
    if install_package; then return; fi
    if may_make_root; then
        make_root
        return
    fi
    if install_release; then return; fi
    give_up
}

is_root() { [ "$(id -u)" = 0 ]; }

as_root() {
    if is_root; then "$@"; elif have sudo; then sudo "$@"; else return 1; fi
}

give_up() {
    say "no Swift $needs_swift or newer, and none could be installed here. By hand, one of these:"
    say "  Debian 13 and newer:  apt-get install $packages"
    say "  other systems:        unpack the toolchain from https://www.swift.org/install, and put its usr/bin into PATH;"
    say "                        on Debian and Ubuntu it needs: apt-get install $companions"
    say "  a container:          begin from the image swift:$release, or allow it to mount (--privileged), as root"
    exit 1
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq "$@" >/dev/null; }

# False when this system has no such package, or an older one.
install_package() {
    version=$(LC_ALL=C apt-cache policy swiftlang 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\)\..*/\1/p')
    [ "${version:-0}" -ge "$needs_swift" ] || return 1
    say "installing Debian's Swift (once)"
    # shellcheck disable=SC2086 # a list of package names
    apt install -y --no-install-recommends $packages && own_swift
}

may_make_root() {
    is_root && grep -qs '^ID=debian' /etc/os-release || return 1
    may_mount || { say "this process may not mount: no root of another Debian"; return 1; }
}

make_root() {
    mkdir -p "$(dirname "$SWIFT_ROOT")"
    exec 9>"$SWIFT_ROOT.lock"
    flock 9
    # Another process may have built it in the meantime.
    root_is_ready "$stamp" || build_root
}

# False when there is none for this system, it cannot be fetched, or it does not start.
install_release() {
    release_is_there || fetch_release || return 1
    own_swift && return
    # shellcheck disable=SC2086 # a list of package names
    apt install -y --no-install-recommends $companions || say "please run: apt-get install $companions"
    own_swift
}

fetch_release() {
    system=$(release_name) || return 1
    case $(uname -m) in x86_64) machine= ;; aarch64) machine=-aarch64 ;; *) return 1 ;; esac
    have curl || apt install -y curl || return 1
    folder=$(echo "$system" | tr -d .)$machine
    name=swift-$release-RELEASE
    new=$SWIFT_RELEASE.new.$$
    mkdir -p "$new" || return 1
    say "fetching Swift $release of swift.org into $SWIFT_RELEASE (once; about 900 MB)"
    if curl --proto '=https' -fsSL --connect-timeout 20 \
        "https://download.swift.org/swift-$release-release/$folder/$name/$name-$system$machine.tar.gz" |
        tar -xz -C "$new" --strip-components 1; then
        mv "$new" "$SWIFT_RELEASE"
    else
        rm -rf "$new"
        say "it could not be fetched"
        return 1
    fi
}

# As swift.org calls this system; false when it has nothing for it.
release_name() {
    # shellcheck source=/dev/null
    . /etc/os-release
    case $ID-$VERSION_ID in debian-12 | ubuntu-22.04 | ubuntu-24.04) echo "$ID$VERSION_ID" ;; *) return 1 ;; esac
}

# Built beside its place and moved there when it is whole.
build_root() {
    new=$SWIFT_ROOT.new
    log=$SWIFT_ROOT.log
    rm -rf --one-file-system "$new"
    have debootstrap || apt install -y --no-install-recommends debootstrap 2>/dev/null ||
        { apt update && apt install -y --no-install-recommends debootstrap; }
    say "this Debian has no Swift $needs_swift: putting Debian $suite with Swift into $SWIFT_ROOT (once; some minutes, 1.6 GB)"
    say "the log is $log"
    debootstrap --variant=minbase --keyring="$(keyring)" "$suite" "$new" "$(mirror)" >"$log" 2>&1 || failed
    copy_apt_settings
    leave_out_what_no_test_needs
    say "installing the compiler"
    install_into_root >>"$log" 2>&1 || failed
    rm -rf "$new"/var/lib/apt/lists/*
    echo "$stamp" >"$new/.stamp"
    rm -rf --one-file-system "$SWIFT_ROOT"
    mv "$new" "$SWIFT_ROOT"
    say "ready: $(grep -m1 'Swift version' "$log")"
}

failed() {
    tail -n 20 "$log" >&2
    die "could not build $SWIFT_ROOT: the whole log is $log"
}

keyring() { find /usr/share/keyrings -name 'debian-archive-keyring.*' | head -n 1; }

release_of_this_machine() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

# Where this machine gets its own release from: of the new form of apt's sources, else of the old one.
mirror() {
    ours=$(release_of_this_machine)
    found=$(find /etc/apt/sources.list.d -name '*.sources' -exec cat {} + -exec echo \; 2>/dev/null | awk -v release="$ours" '
        BEGIN { RS = "" }
        {
            uri = ""; mine = 0; lines = split($0, line, "\n")
            for (i = 1; i <= lines; i++) {
                if (line[i] ~ /^URIs:/) { split(line[i], words, " "); uri = words[2] }
                if (line[i] ~ /^Suites:/ && (line[i] " ") ~ (" " release " ")) mine = 1
            }
            if (mine) { print uri; exit }
        }')
    [ -n "$found" ] || found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?//p' | awk -v release="$ours" '$2 == release { print $1; exit }')
    [ -n "$found" ] || die "apt's settings name no place to get Debian $ours from"
    echo "$found"
}

# The machine's sources, for the other release, and how it reaches them.
copy_apt_settings() {
    ours=$(release_of_this_machine)
    rm -f "$new/etc/apt/sources.list"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
        if grep -qs "$ours" "$file"; then sed "s/$ours/$suite/g" "$file" >"$new/${file#/}"; fi
    done
    apt-config dump | grep -E '^Acquire::(Check|http|https|Retries|Force)' >"$new/etc/apt/apt.conf.d/10host" || true
    cp -L /etc/resolv.conf /etc/hosts "$new/etc/"
}

leave_out_what_no_test_needs() {
    for path in \
        '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' \
        '/usr/libexec/swift/bin/*lldb*' '/usr/libexec/swift/lib/liblldb*' \
        '/usr/libexec/swift/bin/clangd' '/usr/libexec/swift/bin/docc' \
        '/usr/libexec/swift/bin/sourcekit-lsp' '/usr/libexec/swift/lib/libsourcekitd*' \
        '/usr/libexec/swift/lib/swift/embedded/*'; do
        echo "path-exclude=$path"
    done >"$new/etc/dpkg/dpkg.cfg.d/slim"
}

# The mounts live in a namespace of their own: nothing stays mounted, whatever happens.
install_into_root() {
    unshare --mount --propagation private bash -euc '
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        chroot "$0" apt-get update
        chroot "$0" apt-get -o APT::Keep-Downloaded-Packages=false install -y --no-install-recommends "$@"
        chroot "$0" apt-get clean
        chroot "$0" swift --version
    ' "$new" $packages
}

main
