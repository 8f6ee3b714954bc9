//! The tasks behind `./dev`: run the programs, run every check, guard who may depend on whom.
//!
//! Standard library only, so that a task starts in a moment and never builds the SDK to say `help`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the tasks talk to a person at a terminal")]

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
./dev VERB [ARGUMENTS]

  demo [--input FILE]            two people, a relay, and messages that survive crashes
  chat --name NAME [--with NAME] a conversation in this terminal
  relay [ARGUMENTS]              a development relay on port 8470, data in .cache/relay
  test                           every check and every test
  interop                        Signal's own library against ours, alone; part of test
  kotlin                         the Kotlin binding: generated, compiled and tested on a JVM; part of test
  swift                          the Swift binding: generated, compiled and tested; part of test
  chat-kotlin, chat-swift        as chat, with --name and --with, over a binding
  conversation                   the chat in Kotlin and the one in Swift talk with each other; part of test
  xcframework [URL]              what a release for Apple's systems consists of; needs a Mac with Xcode
  android                        the package for Android apps; needs the NDK, and says what else
  jar                            the package for the JVM with the library inside, into the local Maven repository
  lint                           format, clippy, dependency rules
  targets [TRIPLE]               what only phones compile, type-checked and linted; needs rustup, and no NDK or Xcode
  arm                            protocol, wire and the client's store on 64-bit and 32-bit ARM, under QEMU;
                                 the protocol's part of it is part of test
  check-deps                     dependency rules alone
  fuzz [SECONDS] [TARGET]        each fuzz target, or one, for 60 or so many seconds
  fuzz keep [TARGET]             what they found becomes the corpus that the tests replay, as small as it can be
  bench [protocol|relay|client|bindings|all]
  soak [MINUTES] [SEED]          kill the relay again and again, for 10 or so many minutes, and judge what it promised
  soak tests [ROUNDS] [PACKAGE...]
                                 the test programs of relay, client and protocol, or of these packages, 20 or so many
                                 times in a row while every core is kept busy: what fails only now and then
  mutants [protocol|client]      break the code one line at a time: does a test notice? Hours; for one file: -F FILE.rs
  help                           this text

Arguments after demo, chat, relay and mutants reach the program; each of them knows --help.";

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
        // Not for people: how `test` calls this program again.
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
