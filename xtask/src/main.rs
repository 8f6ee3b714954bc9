//! The commands of `./dev`: running the programs, the checks, and the dependency rules.
//!
//! Uses the standard library only, so that a command starts quickly and `help` never builds the SDK.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "programs for the terminal")]

mod arm;
mod bench;
mod bindings;
mod checks;
mod deps;
mod error;
mod fuzz;
mod interop;
mod mutants;
mod programs;
mod soak;
mod targets;
mod watch;
mod workspace;

use std::process::ExitCode;

use error::Error;
use workspace::Workspace;

const HELP: &str = "\
./dev COMMAND [ARGUMENTS]

  demo [--input FILE] [--seed N] people, a relay, and every kind of message over its crashes
  chat --name NAME [--with NAME] a messenger in this terminal; with --plain, line by line
  relay [ARGUMENTS]              a development relay on port 8470, with its data in .cache/relay
  test                           every check and every test
  interop                        only the tests against Signal's own library; part of test
  kotlin                         generate, compile and test the Kotlin binding on a JVM; part of test
  swift                          generate, compile and test the Swift binding; part of test
  chat-kotlin, chat-swift        like chat, using a binding; needs --name and --with
  conversation                   the Kotlin chat and the Swift chat talk to each other; part of test
  xcframework [URL]              build a release for Apple's platforms; needs a Mac with Xcode
  android                        build the package for Android; needs the NDK, and reports what else is missing
  jar                            install the package for the JVM, with the native library, in the local Maven repository
  lint                           format, clippy, dependency rules
  targets [TRIPLE]               type-check and lint the code for phones; needs rustup, but no NDK or Xcode
  arm                            tests of protocol, wire and the client's store on 64-bit and 32-bit ARM, under QEMU;
                                 the protocol's known answers are part of test
  check-deps                     only the dependency rules
  fuzz [SECONDS] [TARGET]        run each fuzz target, or one, for 60 seconds or the given number
  fuzz keep [TARGET]             reduce the inputs that were found to a small corpus for the tests
  bench [protocol|relay|client|groups|bindings|all]
  soak [MINUTES] [SEED]          kill the relay repeatedly, for 10 minutes or the given number, and check what it guarantees
  soak devices [MINUTES] [SEED]  let devices of two people come and go while they talk, for 10 minutes or the given number
  soak tests [ROUNDS] [PACKAGE...]
                                 run the test programs of relay, client and protocol, or of these packages, 20 times or as
                                 given, while every core is kept busy, to find tests that fail only sometimes
  soak outage [CLIENTS]          take the relay away from 1,000 clients, or the given number, and print when they return
  soak exits [ROUNDS]            end 200 processes, or the given number, in each way while a client is at work: in Rust, on the
                                 JVM, and in Swift
  mutants [protocol|client]      change the code one line at a time: does a test notice? Takes hours; one file: -F FILE.rs
  help                           this text

Arguments after demo, chat, relay and mutants are passed to the program; each of them supports --help.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_else(|| "help".to_owned());
    match run(&verb, arguments.collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dev: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &str, arguments: Vec<String>) -> Result<ExitCode, Error> {
    let workspace = Workspace::locate()?;
    match verb {
        "demo" => return programs::demo(&workspace, &arguments),
        "chat" => return programs::chat(&workspace, &arguments),
        "relay" => return programs::relay(&workspace, &arguments),
        "fuzz" => fuzz::run_targets(&workspace, &arguments)?,
        "bench" => bench::run_part(&workspace, &arguments)?,
        "soak" => soak::run_all(&workspace, &arguments)?,
        "mutants" => mutants::run_all(&workspace, &arguments)?,
        "test" => checks::test(&workspace)?,
        // For internal use: how `test` calls this program again.
        checks::STEP => checks::step(&workspace, &arguments)?,
        watch::VERB => return watch::run_test_program(&arguments),
        "interop" => interop::build_and_test(&workspace)?,
        "kotlin" => bindings::build_and_test_kotlin(&workspace)?,
        "swift" => bindings::build_and_test_swift(&workspace)?,
        "chat-kotlin" => bindings::chat_kotlin(&workspace, &arguments)?,
        "chat-swift" => bindings::chat_swift(&workspace, &arguments)?,
        "conversation" => bindings::build_and_test_conversation(&workspace)?,
        "xcframework" => bindings::xcframework(&workspace, &arguments)?,
        "android" => bindings::android(&workspace)?,
        "jar" => bindings::install_jar(&workspace)?,
        "lint" => checks::lint(&workspace)?,
        "targets" => targets::check(&workspace, &arguments)?,
        "arm" => arm::whole(&workspace)?,
        "check-deps" => deps::check(&workspace)?,
        "help" | "--help" | "-h" => println!("{HELP}"),
        unknown => return Err(Error::UnknownVerb(unknown.to_owned())),
    }
    Ok(ExitCode::SUCCESS)
}
