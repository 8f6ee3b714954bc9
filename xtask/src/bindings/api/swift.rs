//! The same for Swift. The generator puts methods at the left margin, and the fields of a case on separate lines.

use super::{BEGINS, beginning, without_comments};

/// Declarations whose members are included. (The generator breaks the line before the `enum` of an error.)
const BLOCKS: &[&str] = &["public protocol ", "open class ", "public struct ", "public enum ", "enum "];
/// Declarations of one line.
const LINES: &[&str] = &["public typealias ", "public func "];
/// Other lines at the left margin, which belong to UniFFI.
const OTHERS: &[&str] = &["private ", "fileprivate ", "extension "];
/// The beginnings of members.
const MEMBERS: &[&str] = &[
    "case ",
    "func ",
    "open func ",
    "public func ",
    "public let ",
    "public var ",
    "public convenience init(",
];
/// Names that belong to UniFFI.
const INTERNAL: &[&str] = &["FfiConverter", "uniffi", "NoHandle"];

/// The public declarations of a generated Swift source, one on each line, with members indented.
pub(crate) fn of_swift(source: &str) -> String {
    let (_, declarations) = source.split_once(BEGINS).unwrap_or_default();
    let mut api = String::new();
    let mut inside = false;
    // A case or an initialiser, of which each parameter is on a line.
    let mut case = None;
    for line in without_comments(declarations).lines() {
        let word = line.trim();
        let declaration = line.split(" {").next().unwrap_or_default();
        let internal = INTERNAL.iter().any(|name| declaration.contains(name));
        if beginning(OTHERS, line).is_some() || (internal && !line.starts_with(' ')) {
            inside = false;
        } else if beginning(BLOCKS, line).is_some() {
            // Apps call the class; its protocol only repeats the methods without the defaults.
            inside = !declaration.contains("Protocol: AnyObject");
            if inside {
                let public = if declaration.starts_with("enum ") { "public " } else { "" };
                push(&mut api, public, declaration);
            }
        } else if let Some(begun) = case.take() {
            let whole = format!("{begun}{word}");
            match word {
                ")" => push(&mut api, "    ", &whole),
                // The initialiser of a record.
                _ if word.ends_with(") {") => push(&mut api, "    ", &whole),
                _ if word.ends_with(',') => case = Some(whole + " "),
                _ => case = Some(whole),
            }
        } else if inside && (word.starts_with("case ") && word.ends_with('(') || word == "public init(") {
            case = Some(word.to_owned());
        } else if inside && !internal && beginning(MEMBERS, word).is_some() {
            push(&mut api, "    ", word);
        } else if beginning(LINES, line).is_some() {
            inside = false;
            push(&mut api, "", line);
        }
    }
    api
}

/// Removes a body that begins on the same line, and collapses spaces.
fn push(api: &mut String, indent: &str, declaration: &str) {
    let head = declaration.split('{').next().unwrap_or_default();
    let head = head.replace(")throws", ") throws").replace(")async", ") async");
    api.push_str(indent);
    api.push_str(&head.split_whitespace().collect::<Vec<_>>().join(" "));
    api.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATED: &str = "\
public func helper() {
}
// Public interface members begin here.
/**
 * public struct Comment {
 */
public protocol ClientProtocol: AnyObject, Sendable {
    func search(words: String, limit: UInt32) async throws  -> [Message]
}
open class Client: ClientProtocol, @unchecked Sendable {
    fileprivate let handle: UInt64
    public struct NoHandle {
        public init() {}
    }
    public func uniffiCloneHandle() -> UInt64 {
    }
public convenience init() {
}
    /**
     * open func notThis()
     */
open func search(words: String, limit: UInt32 = UInt32(50))async throws  -> [Message]  {
    return try call()
}
}
public struct FfiConverterTypeClient: FfiConverter {
    public func lift() {
    }
}
public func FfiConverterTypeClient_lift(_ handle: UInt64) throws -> Client {
}
public struct Config: Equatable, Hashable {
    public let pinned: Data?
    public init(
        pinned: Data? = nil) {
        self.pinned = pinned
    }
}
extension Config: Sendable {}
public enum Event: Equatable {
    case gone
    case added(
        /**
         * Where.
         */thread: ThreadId,
        /**
         * It.
         */message: Message
    )
}
public 
enum SealpostError: Swift.Error {
    case Cancelled
public func code() -> String  {
}
}
public typealias UserId = String
public func setLogger(logger: Logger)throws   {try rustCall() {
}
";

    #[test]
    fn only_declarations_are_kept() {
        let expected = "\
open class Client: ClientProtocol, @unchecked Sendable
    public convenience init()
    open func search(words: String, limit: UInt32 = UInt32(50)) async throws -> [Message]
public struct Config: Equatable, Hashable
    public let pinned: Data?
    public init(pinned: Data? = nil)
public enum Event: Equatable
    case gone
    case added(thread: ThreadId, message: Message)
public enum SealpostError: Swift.Error
    case Cancelled
    public func code() -> String
public typealias UserId = String
public func setLogger(logger: Logger) throws
";
        assert_eq!(of_swift(GENERATED), expected);
    }
}
