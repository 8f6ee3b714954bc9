#!/usr/bin/env bash
# Builds the package for Android apps. `./dev android` generates the sources, then calls this:
#   aar.sh check|build TARGET_FOLDER
# The package is written to ../target/android/maven, a Maven repository that a Gradle build can use. The libraries with their
# symbols, for crash reports, are kept in TARGET_FOLDER/android/symbols.
set -euo pipefail

step=$1
target=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
out=$here/../target/android

platform=26 # minSdk in build.gradle.kts
oldest_ndk=27
abis="arm64-v8a armeabi-v7a x86_64 x86"
triples="aarch64-linux-android armv7-linux-androideabi x86_64-linux-android i686-linux-android"

sdk=${ANDROID_HOME:-${ANDROID_SDK_ROOT:-}}
ndk=${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-}}
if [ -z "$ndk" ] && [ -n "$sdk" ]; then
    ndk=$(find "$sdk/ndk" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sort -V | tail -n 1 || true)
fi

# Prints a line for each missing tool, with instructions for installing it.
missing() {
    if [ -z "$sdk" ] || ! [ -d "$sdk" ]; then
        echo "the Android SDK: install it with Android Studio, and set ANDROID_HOME to its folder"
    fi
    revision=$(sed -n 's/^Pkg.Revision *= *\([0-9]*\).*/\1/p' "$ndk/source.properties" 2>/dev/null || true)
    if [ -z "$revision" ]; then
        echo "the Android NDK: sdkmanager 'ndk;28.2.13676358', or set ANDROID_NDK_HOME to its folder"
    elif [ "$revision" -lt "$oldest_ndk" ]; then
        echo "an NDK from r$oldest_ndk on, for pages of 16 KB: this is r$revision; sdkmanager 'ndk;28.2.13676358'"
    elif ! tools >/dev/null; then
        echo "the tools of the NDK in $ndk/toolchains/llvm: install it again"
    fi
    if ! cargo ndk --version >/dev/null 2>&1; then
        echo "cargo-ndk: cargo install cargo-ndk"
    fi
    installed=$(rustup target list --installed 2>/dev/null || true)
    lacking=
    for triple in $triples; do
        # Not grep -q: it ends at the first match, and then printf may fail, and the pipeline with it.
        printf '%s\n' "$installed" | grep -x "$triple" >/dev/null || lacking="$lacking $triple"
    done
    if [ -n "$lacking" ]; then
        echo "Rust for Android: rustup target add$lacking"
    fi
    if ! command -v gradle >/dev/null 2>&1; then
        echo "Gradle 8.13 or newer: https://gradle.org/install"
    fi
    java=$(javac -version 2>/dev/null | sed -n 's/^javac \([0-9]*\).*/\1/p' || true)
    if [ "${java:-0}" -lt 17 ]; then
        echo "a JDK from 17 on: https://adoptium.net"
    fi
}

# Prints the folder with the NDK's programs for this machine.
tools() {
    found=$(find "$ndk/toolchains/llvm/prebuilt" -name llvm-strip -print -quit 2>/dev/null)
    [ -n "$found" ] && dirname "$found"
}

list=$(missing)
if [ -n "$list" ]; then
    printf 'android: these tools are missing:\n' >&2
    printf '%s\n' "$list" | sed 's/^/  /' >&2
    exit 1
fi

[ "$step" = build ] || exit 0

export ANDROID_HOME=$sdk ANDROID_NDK_HOME=$ndk ANDROID_NDK_ROOT=$ndk CARGO_TARGET_DIR=$target
symbols=$target/android/symbols
libraries=$out/libraries
rm -rf "$symbols" "$out"
mkdir -p "$symbols" "$libraries"

wanted=()
for abi in $abis; do wanted+=(--target "$abi"); done
cd "$here/../../.."
# Only one type of library is built, because otherwise it would not be optimised at link time. The page size is the default of
# the NDK from r28 on. With `-z defs`, undefined symbols are errors here instead of when a phone loads the library.
cargo ndk "${wanted[@]}" --platform "$platform" --output-dir "$symbols" \
    rustc --locked --profile release-size -p sealpost-ffi --lib --crate-type cdylib --features vendored-crypto \
    -- -C link-arg=-Wl,-z,max-page-size=16384,-z,defs

for abi in $abis; do
    mkdir -p "$libraries/$abi"
    "$(tools)/llvm-strip" --strip-unneeded -o "$libraries/$abi/libsealpost.so" "$symbols/$abi/libsealpost.so"
    # The last column of a segment is its alignment.
    if "$(tools)/llvm-readelf" --program-headers --wide "$libraries/$abi/libsealpost.so" |
        awk '$1 == "LOAD" && $NF != "0x4000" { found = 1 } END { exit !found }'; then
        printf 'android: the library for %s is not aligned to pages of 16 KB\n' "$abi" >&2
        exit 1
    fi
done

cd "$here"
gradle --no-daemon --console=plain publish "-Psealpost.libraries=$libraries" "-Psealpost.packages=$out/maven"
printf 'android: io.github.sealpost:sealpost-android:0.1.0 in %s\n' "$(cd "$out/maven" && pwd -P)"
