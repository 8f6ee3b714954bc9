//! The last step of generating: code of UniFFI that throws foreign errors, or ends the process, is changed to throw
//! [`SealpostError`](../../../crates/sdk-ffi/src/error.rs). The functions that it calls for this are part of the
//! handwritten layer of each binding.
//!
//! - **A native library that is missing or of another version.** Kotlin loads it in a class initializer, which throws
//!   an `Error` once and a different one afterwards, and compares no versions. Swift compares them and ends the
//!   process, even where nothing can be thrown: when an app calls a method of an error or a message that it has
//!   created itself.
//! - **Text with an unpaired surrogate** (Kotlin). It is detected when the text is encoded, with an exception of
//!   Java, and after a handle of the object was passed on, which nobody releases. Inside a value (an error, the body
//!   of a message) the text crosses the boundary only to be printed, which must not throw.
//! - **An object that was closed** (Kotlin): the receiver of the call, or a token that is passed to it, again before
//!   a handle is passed on.
//! - **A panic** in a call that does not run on the library's threads: its text could contain anything.

use crate::error::Error;

/// The only error that can exist without the library must not call the library.
const OF_MISUSE: [&str; 3] = ["\"misuse\"", "false", "\"not allowed now: "];

/// The description of an error if the library has another version.
const OTHER_VERSION_SAID: &str = "\"not allowed now: the native library is not of this version\"";

/// The message for a panic; its location was passed to the logger.
const PANIC: &str = "a panic in a call";

/// The source that apps compile instead of the generated Kotlin source.
pub(super) fn of_kotlin(generated: &str) -> Result<String, Error> {
    let mut source = generated.to_owned();
    replace(&mut source, "UniffiLib.uniffi_sealpost_fn_", "nativeLibrary().uniffi_sealpost_fn_")?;
    replace(&mut source, "UniffiLib.ffi_sealpost_", "nativeLibrary().ffi_sealpost_")?;
    replace(
        &mut source,
        "IllegalStateException(\"${this.javaClass.simpleName} object has already been destroyed\")",
        "SealpostException.Misuse(\"the object was closed\")",
    )?;
    let bug = format!("throw SealpostException.Bug(\"{PANIC}\")");
    replace(
        &mut source,
        "throw InternalException(FfiConverterString.lift(status.error_buf))",
        &format!("RustBuffer.free(status.error_buf)\n            {bug}"),
    )?;
    replace(&mut source, "throw InternalException(\"Rust panic\")", &bug)?;
    replace(
        &mut source,
        "onMalformedInput(CodingErrorAction.REPORT)",
        "onMalformedInput(CodingErrorAction.REPLACE)",
    )?;
    let [code, retryable, said] = OF_MISUSE;
    for (function, answer) in [
        ("fun `code`(): kotlin.String {\n", code),
        ("fun `retryable`(): kotlin.Boolean {\n", retryable),
        ("override fun toString(): String {\n", &format!("{said}$what\"")),
    ] {
        let shortcut = format!("        if (this is Misuse) return {answer}\n");
        insert_after(&mut source, "sealed class SealpostException", function, &shortcut)?;
    }
    with_checked_arguments(&source)
}

/// The source that apps compile instead of the generated Swift source.
pub(super) fn of_swift(generated: &str) -> Result<String, Error> {
    let mut source = generated.to_owned();
    let ensure = "uniffiEnsureSealpostInitialized()";
    replace(&mut source, &format!("    {ensure}\n"), &format!("    try {ensure}\n"))?;
    replace(&mut source, &format!("func {ensure} {{"), &format!("func {ensure} throws {{"))?;
    for what in ["contract version", "API checksum"] {
        let fatal =
            format!("fatalError(\"UniFFI {what} mismatch: try cleaning and rebuilding your project\")");
        let thrown = "throw SealpostError.Misuse(what: \"the native library is not of this version\")";
        replace(&mut source, &fatal, thrown)?;
    }
    let bug = format!("throw SealpostError.Bug(what: \"{PANIC}\")");
    replace(
        &mut source,
        "throw UniffiInternalError.rustPanic(try FfiConverterString.lift(callStatus.errorBuf))",
        &format!("callStatus.errorBuf.deallocate()\n                {bug}"),
    )?;
    replace(&mut source, "throw UniffiInternalError.rustPanic(\"Rust panic\")", &bug)?;
    for (begin, function, answer) in [
        ("enum SealpostError", "func code() -> String  {\n", "\"misuse\""),
        ("enum SealpostError", "func retryable() -> Bool  {\n", "false"),
        ("enum SealpostError", "var description: String {\n", OTHER_VERSION_SAID),
    ] {
        let question = format!("    guard libraryFits else {{ return {answer} }}\n");
        insert_after(&mut source, begin, function, &question)?;
    }
    let mut source = with_described_types(&source)?;
    let [code, retryable, said] = OF_MISUSE;
    for (function, pattern, answer) in [
        ("func code() -> String  {\n", "case .Misuse", code),
        ("func retryable() -> Bool  {\n", "case .Misuse", retryable),
        ("var description: String {\n", "case .Misuse(let what)", &format!("{said}\\(what)\"")),
    ] {
        let shortcut = format!("    if {pattern} = self {{ return {answer} }}\n");
        insert_after(&mut source, "enum SealpostError", function, &shortcut)?;
    }
    Ok(source)
}

/// A value that an app has created itself is described by its type if the library has another version.
fn with_described_types(source: &str) -> Result<String, Error> {
    let (mut described, mut name, mut count) = (String::new(), "", 0_usize);
    for line in source.lines() {
        described.push_str(line);
        described.push('\n');
        let declared = line.strip_prefix("public enum ").or_else(|| line.strip_prefix("public struct "));
        name = declared.and_then(|rest| rest.split([':', ' ']).next()).unwrap_or(name);
        if line.ends_with("var debugDescription: String {") {
            count = count.saturating_add(1);
            described.push_str(&format!("    guard libraryFits else {{ return \"{name}\" }}\n"));
        }
    }
    if count == 0 { Err(unexpected("debugDescription")) } else { Ok(described) }
}

/// The fields of each record: its name, and of each field the name, the type, and whether it is optional.
type Records<'a> = Vec<(&'a str, Vec<(&'a str, &'a str, bool)>)>;

fn fields_of_records(source: &str) -> Records<'_> {
    let mut records: Records<'_> = Vec::new();
    let mut is_record = false;
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("data class ").and_then(|rest| rest.strip_suffix(" (")) {
            records.push((name, Vec::new()));
            is_record = true;
        } else if line.starts_with(')') {
            is_record = false;
        } else if let Some(field) = line.trim().strip_prefix("val ").filter(|_| is_record)
            && let Some((name, kind)) = name_and_type(field)
            && let Some((_, fields)) = records.last_mut()
        {
            fields.push((name, kind, is_optional(field, kind)));
        }
    }
    records
}

/// The checks of a value of this type at this place: of a text, of a list of texts, or of the texts in a record.
fn checks_of(
    argument: &str,
    place: &str,
    (kind, optional): (&str, bool),
    known: (&[&str], &Records<'_>),
) -> Vec<String> {
    let (texts, records) = known;
    let of_list = kind.strip_prefix("List<").and_then(|rest| rest.strip_suffix('>'));
    if texts.contains(&of_list.unwrap_or(kind)) {
        return vec![format!("requireText(\"{argument}\", {place})")];
    }
    let fields = records.iter().find(|(record, _)| *record == kind).map(|(_, fields)| fields.as_slice());
    let check = |(name, kind, is_optional): &(&str, &str, bool)| {
        let place = format!("{place}{}`{name}`", if optional { "?." } else { "." });
        checks_of(argument, &place, (kind, optional || *is_optional), known)
    };
    fields.unwrap_or_default().iter().flat_map(check).collect()
}

fn is_optional(argument: &str, kind: &str) -> bool {
    argument.contains(&format!("{kind}?"))
}

/// Every exported function first checks its texts and its tokens, before anything crosses the boundary.
fn with_checked_arguments(source: &str) -> Result<String, Error> {
    let texts: Vec<_> = source.lines().filter_map(alias_of_text).chain(["kotlin.String"]).collect();
    let records = fields_of_records(source);
    let mut checked = String::new();
    let mut checks = 0_usize;
    for line in source.lines() {
        checked.push_str(line);
        checked.push('\n');
        let begins = line.contains(" suspend fun `") || line.contains("override fun `");
        if !begins || !line.ends_with('{') {
            continue;
        }
        for argument in line.split_once('(').map_or("", |(_, rest)| rest).split(", ") {
            let Some((name, kind)) = name_and_type(argument) else { continue };
            let all = if kind == "CancelToken" {
                vec![format!("requireOpen(`{name}`)")]
            } else {
                let kind = (kind, is_optional(argument, kind));
                checks_of(name, &format!("`{name}`"), kind, (&texts, &records))
            };
            checks = checks.saturating_add(all.len());
            all.iter().for_each(|check| checked.push_str(&format!("        {check}\n")));
        }
    }
    if checks == 0 { Err(unexpected("function that takes a text")) } else { Ok(checked) }
}

/// The type of an argument, without the mark of an optional type.
fn name_and_type(argument: &str) -> Option<(&str, &str)> {
    let (name, rest) = argument.strip_prefix('`')?.split_once("`: ")?;
    Some((name, rest.split([')', ' ', '?']).next()?))
}

fn alias_of_text(line: &str) -> Option<&str> {
    line.strip_prefix("public typealias ")?.strip_suffix(" = kotlin.String")
}

fn replace(source: &mut String, from: &str, to: &str) -> Result<(), Error> {
    if !source.contains(from) {
        return Err(unexpected(from));
    }
    *source = source.replace(from, to);
    Ok(())
}

/// Inserts after the first `place` behind `begin`.
fn insert_after(source: &mut String, begin: &str, place: &str, new: &str) -> Result<(), Error> {
    let (before, rest) = source.split_once(begin).ok_or_else(|| unexpected(begin))?;
    let (between, after) = rest.split_once(place).ok_or_else(|| unexpected(place))?;
    *source = format!("{before}{begin}{between}{place}{new}{after}");
    Ok(())
}

/// Another version of UniFFI may generate other sources.
fn unexpected(missing: &str) -> Error {
    Error::Failed(format!(
        "the generated source has no {:?} any more: see xtask/src/bindings/border.rs",
        missing.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KOTLIN: &str = "\
    UniffiLib.ffi_sealpost_rustbuffer_alloc(size.toLong(), status)
                throw IllegalStateException(\"${this.javaClass.simpleName} object has already been destroyed\")
            throw InternalException(FfiConverterString.lift(status.error_buf))
            throw InternalException(\"Rust panic\")
            onMalformedInput(CodingErrorAction.REPORT)
    suspend fun `search`(`words`: kotlin.String, `limit`: kotlin.UInt = 50u): List<Message>
    override suspend fun `search`(`words`: kotlin.String, `limit`: kotlin.UInt) : List<Message> {
            UniffiLib.uniffi_sealpost_fn_method_client_search(
    override suspend fun `verify`(`user`: UserId, `number`: kotlin.String) : kotlin.Boolean {
    override suspend fun `history`(`before`: Cursor?, `limit`: kotlin.UInt) : Page {
    @Throws(SealpostException::class)override fun `userId`(): UserId {
    override suspend fun `markRead`(`upTo`: MessageId) {
    override suspend fun `directThread`(`user`: UserId, `cancel`: CancelToken?) : Thread {
    override fun toString(): String {
sealed class SealpostException: kotlin.Exception() {
         */ fun `code`(): kotlin.String {
         */ fun `retryable`(): kotlin.Boolean {
    override fun toString(): String {
}
data class Card (
    val `name`: kotlin.String
    , 
    val `user`: UserId? = null 
    , 
    val `age`: kotlin.UInt
    , 
    val `work`: Work? = null 
)
data class Work (
    val `place`: kotlin.String
)
{
    override suspend fun `sendCard`(`card`: Card) : Message {
    override suspend fun `ask`(`question`: kotlin.String, `options`: List<kotlin.String>) : Message {
public typealias Cursor = kotlin.String
public typealias MessageId = kotlin.Long
public typealias UserId = kotlin.String
";

    #[test]
    fn kotlin_throws_what_is_ours() {
        let source = of_kotlin(KOTLIN).unwrap();
        assert!(!source.contains("UniffiLib.") && !source.contains("IllegalState"));
        assert!(!source.contains("InternalException") && !source.contains("error_buf))"));
        assert_eq!(source.matches("throw SealpostException.Bug(\"a panic in a call\")").count(), 2);
        assert!(source.contains("CodingErrorAction.REPLACE"));
        let checks: Vec<_> =
            source.lines().map(str::trim).filter(|line| line.starts_with("require")).collect();
        let texts = ["words", "user", "number", "before", "user", "question", "options"];
        let mut expected = texts.map(|name| format!("requireText(\"{name}\", `{name}`)")).to_vec();
        let others = [
            "requireOpen(`cancel`)",
            "requireText(\"card\", `card`.`name`)",
            "requireText(\"card\", `card`.`user`)",
            "requireText(\"card\", `card`.`work`?.`place`)",
        ];
        expected.splice(5..5, others.map(str::to_owned));
        assert_eq!(checks, expected);
        let search = "List<Message> {\n        requireText(\"words\", `words`)\n            nativeLibrary().";
        assert!(source.contains(search), "{source}");
        let shortcuts = [
            "code`(): kotlin.String {\n        if (this is Misuse) return \"misuse\"\n",
            "toString(): String {\n        if (this is Misuse) return \"not allowed now: $what\"\n",
        ];
        for shortcut in shortcuts {
            assert_eq!(source.matches(shortcut).count(), 1, "{shortcut} in\n{source}");
        }
    }

    const SWIFT: &str = "\
private func makeRustCall() throws {
    uniffiEnsureSealpostInitialized()
    var callStatus = RustCallStatus.init()
                throw UniffiInternalError.rustPanic(try FfiConverterString.lift(callStatus.errorBuf))
                throw UniffiInternalError.rustPanic(\"Rust panic\")
public enum SealpostError: Swift.Error {
public func code() -> String  {
public func retryable() -> Bool  {
public var description: String {
public enum MessageBody: Equatable {
public var debugDescription: String {
public struct Quote: Equatable, Hashable {
public var debugDescription: String {
public func uniffiEnsureSealpostInitialized() {
        fatalError(\"UniFFI contract version mismatch: try cleaning and rebuilding your project\")
        fatalError(\"UniFFI API checksum mismatch: try cleaning and rebuilding your project\")
";

    #[test]
    fn swift_throws_instead_of_ending_the_process() {
        let source = of_swift(SWIFT).unwrap();
        assert!(!source.contains("fatalError") && !source.contains("rustPanic"));
        assert_eq!(source.matches("throw SealpostError.Bug(what: \"a panic in a call\")").count(), 2);
        assert!(source.contains("{\n    try uniffiEnsureSealpostInitialized()\n"));
        assert!(source.contains("func uniffiEnsureSealpostInitialized() throws {"));
        assert!(source.contains("{ return \"not allowed now: \\(what)\" }"));
        assert_eq!(source.matches("    guard libraryFits else { return ").count(), 5, "{source}");
        for name in ["MessageBody", "Quote"] {
            let guard =
                format!("debugDescription: String {{\n    guard libraryFits else {{ return \"{name}\" }}\n");
            assert!(source.contains(&guard), "{name}");
        }
    }

    #[test]
    fn another_form_of_source_is_refused() {
        for (gone, instead) in [
            ("UniffiLib.ffi_", "Lib."),
            ("destroyed", "closed"),
            ("kotlin.String", "Text"),
            ("REPORT", "IGNORE"),
            ("InternalException", "Panic"),
        ] {
            assert!(of_kotlin(&KOTLIN.replace(gone, instead)).is_err(), "{gone}");
        }
        for gone in ["fatalError", "rustPanic"] {
            assert!(of_swift(&SWIFT.replace(gone, "preconditionFailure")).is_err(), "{gone}");
        }
    }
}
