//! Modified libraries for tests: each is the real library except for a few functions.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::workspace::{Profile, Workspace, run};

/// It reports another version.
const ANOTHER_VERSION: &str = "
int ffi_sealpost_uniffi_contract_version(void) { return 0; }
extern void ffi_sealpost_rustbuffer_alloc(void);
void (*ours(void))(void) { return ffi_sealpost_rustbuffer_alloc; }
";

/// Two of its calls panic: one for a logger, which returns immediately, because the length of an argument is wrong;
/// and the first asynchronous one, because the system has no threads for the library. It must be loaded before
/// anything else.
const PANICKING: &str = "
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

typedef struct { uint64_t capacity, length; uint8_t *data; } Buffer;

extern void ffi_sealpost_rustbuffer_alloc(void);
void (*ours(void))(void) { return ffi_sealpost_rustbuffer_alloc; }

void uniffi_sealpost_fn_func_set_logger(uint64_t logger, Buffer level, void *status) {
    static int before;
    void (*set_logger)(uint64_t, Buffer, void *) = dlsym(RTLD_NEXT, __func__);
    if (before++) level.length = level.capacity + 1;
    set_logger(logger, level, status);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *with) {
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, __func__);
    Dl_info caller;
    int found = dladdr(__builtin_return_address(0), &caller);
    if (found && strstr(caller.dli_fname, \"/libsealpost.\")) return EAGAIN;
    return create(thread, attributes, run, with);
}
";

/// A library of another version, for tests with the wrong library.
pub(super) fn another_version(workspace: &Workspace) -> Result<PathBuf, Error> {
    build(workspace, "another-version", ANOTHER_VERSION)
}

/// A library that panics, for tests of what is reported then.
pub(super) fn panicking(workspace: &Workspace) -> Result<PathBuf, Error> {
    build(workspace, "panicking", PANICKING)
}

/// Compiles a modified library next to the real one.
fn build(workspace: &Workspace, name: &str, source: &str) -> Result<PathBuf, Error> {
    let ours = workspace.library(Profile::Debug, "sealpost");
    let folder = ours.parent().unwrap_or(&ours);
    let library = folder.join(format!("sealpost-{name}.so"));
    let written = folder.join(format!("{name}.c"));
    fs::write(&written, source).map_err(|error| Error::Io { subject: written.clone(), source: error })?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).args([&library, &written]).arg("-L").arg(folder);
    cc.args(["-lsealpost", "-ldl", "-Xlinker", "-rpath", "-Xlinker"]).arg(folder);
    run(cc)?;
    Ok(library)
}
