#!/usr/bin/env bash
# Builds what a release of the Swift package consists of, on a Mac with Xcode. `./dev xcframework` generates the sources, then
# calls this:
#   xcframework.sh check|build TARGET_FOLDER [URL]
# The library for iPhones, for the simulator and for Macs goes into TARGET_FOLDER/xcframework/SealpostFFI.xcframework.zip; beside
# it, in package/, is the package that refers to it by the URL under which the release will offer it; without a URL, a package
# that has the library in it.
set -euo pipefail

step=$1
target=$2
url=${3:-}
swift=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
out=$target/xcframework

die() { printf 'xcframework: %s\n' "$*" >&2; exit 1; }

[ "$(uname -s)" = Darwin ] || die "libraries for iPhones are built on a Mac with Xcode; this machine is none"
xcodebuild -version >/dev/null 2>&1 || die "no Xcode: install it, then run xcode-select --install"

[ "$step" = build ] || exit 0

# The cryptography is Apple's, also where somebody builds other things with an OpenSSL.
unset OPENSSL_DIR OPENSSL_LIB_DIR OPENSSL_INCLUDE_DIR
# As in Package.swift.
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0

build() {
    rustup target add "$@"
    for triple in "$@"; do
        cargo rustc --profile release-size --locked -p sealpost-ffi --lib --crate-type staticlib --target "$triple"
    done
}

# One library of a platform for all its processors.
join() {
    name=$1
    shift
    libraries=()
    for triple in "$@"; do libraries+=("$target/$triple/release-size/libsealpost.a"); done
    mkdir -p "$out/$name"
    lipo -create "${libraries[@]}" -output "$out/$name/libsealpost.a"
}

rm -rf "$out"
mkdir -p "$out/headers/SealpostFFI"
# In a folder of their own: all frameworks of an app share one for headers, and each has a module.modulemap.
cp "$swift"/Sources/SealpostFFI/* "$out/headers/SealpostFFI"

cd "$swift"
export CARGO_TARGET_DIR=$target
build aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin
join ios aarch64-apple-ios
join simulator aarch64-apple-ios-sim x86_64-apple-ios
join macos aarch64-apple-darwin x86_64-apple-darwin

xcodebuild -create-xcframework \
    -library "$out/ios/libsealpost.a" -headers "$out/headers" \
    -library "$out/simulator/libsealpost.a" -headers "$out/headers" \
    -library "$out/macos/libsealpost.a" -headers "$out/headers" \
    -output "$out/SealpostFFI.xcframework"
ditto -c -k --keepParent "$out/SealpostFFI.xcframework" "$out/SealpostFFI.xcframework.zip"
checksum=$(swift package compute-checksum "$out/SealpostFFI.xcframework.zip")

mkdir -p "$out/package/Sources"
cp -R Sources/Sealpost "$out/package/Sources/"
cp README.md "$out/package/"
if [ -n "$url" ]; then
    sed -e "s|@URL@|$url|" -e "s|@CHECKSUM@|$checksum|" release/Package.swift >"$out/package/Package.swift"
else
    cp -R "$out/SealpostFFI.xcframework" "$out/package/"
    sed -e 's|url: "@URL@", checksum: "@CHECKSUM@"|path: "SealpostFFI.xcframework"|' release/Package.swift \
        >"$out/package/Package.swift"
fi
printf 'xcframework: %s\nxcframework: %s\n' "$out/SealpostFFI.xcframework.zip, checksum $checksum" "$out/package"
