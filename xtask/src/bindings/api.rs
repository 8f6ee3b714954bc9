//! Extracts what apps compile against: the declarations of a generated source, without comments and bodies. They are
//! compared with a golden copy, so that a change to them is visible in review.

mod swift;
mod written;

pub(super) use swift::of_swift;
pub(super) use written::of_written;

/// The line after which UniFFI's helper code ends.
const BEGINS: &str = "// Public interface members begin here.";
/// Declarations whose members are included.
const BLOCKS: &[&str] = &["public interface ", "open class ", "data class ", "sealed class ", "enum class "];
/// Declarations of one line. UniFFI's own functions have no quoted names.
const LINES: &[&str] = &["public typealias ", "suspend fun `", "fun `"];
/// Other lines at the left margin, which belong to UniFFI.
const OTHERS: &[&str] = &["public object ", "internal ", "private ", "interface ", "object ", "inline "];
/// What stands before a function that throws.
const THROWS: &str = "@Throws(SealpostException::class)";
/// The beginnings of members.
const MEMBERS: &[&str] = &["val `", "object ", "data class ", "class ", "suspend fun `", "fun `"];

/// The public declarations of a generated Kotlin source, one on each line, with members indented.
pub(super) fn of_kotlin(source: &str) -> String {
    let (_, declarations) = source.split_once(BEGINS).unwrap_or_default();
    let mut api = String::new();
    let mut block = None;
    for line in without_comments(declarations).lines() {
        let word = line.trim();
        let word = word.strip_prefix(THROWS).map_or(word, str::trim);
        if let Some(kind) = beginning(BLOCKS, line) {
            block = Some(kind);
            push(&mut api, "", word);
        } else if beginning(OTHERS, line).is_some() {
            block = None;
        } else if block.is_some_and(|kind| is_member(kind, word)) {
            push(&mut api, "    ", word);
        }
        if block.is_none() && beginning(LINES, word).is_some() && !word.contains("FfiConverter") {
            push(&mut api, "", word);
        }
    }
    api
}

/// A declaration may follow its comment on the same line.
fn without_comments(source: &str) -> String {
    let mut parts = source.split("/**");
    let mut code = parts.next().unwrap_or_default().to_owned();
    code.extend(parts.filter_map(|part| part.split_once("*/")).map(|(_, code)| code));
    code
}

fn beginning(beginnings: &[&'static str], line: &str) -> Option<&'static str> {
    beginnings.iter().copied().find(|beginning| line.starts_with(beginning))
}

fn is_member(kind: &str, word: &str) -> bool {
    match kind {
        // The methods of an object are those of its interface; only the constructor is taken from the class.
        "open class " => word.starts_with("constructor(") && !word.contains("Handle"),
        "enum class " => {
            word.ends_with([',', ';']) && word.starts_with(|first: char| first.is_ascii_uppercase())
        }
        _ => beginning(MEMBERS, word).is_some(),
    }
}

/// Removes what only the compiler needs.
fn push(api: &mut String, indent: &str, declaration: &str) {
    let field = declaration.starts_with("val ").then(|| declaration.split_once(") :")).flatten();
    let declaration = field.map_or(declaration, |(field, _)| field);
    let declaration = declaration.replace('`', "").replace("kotlin.", "").replace("io.github.sealpost.", "");
    let declaration = declaration.replace(" : ", ": ");
    api.push_str(indent);
    api.push_str(declaration.trim_end_matches([' ', '{', '(', ',', ';', ':']));
    api.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATED: &str = "\
internal fun helper() {
}
// Public interface members begin here.
/**
 * public interface Comment {
 */
public interface ClientInterface {
    /**
     * fun `notThis`()
     */
    suspend fun `search`(`words`: kotlin.String, `limit`: kotlin.UInt = 50u): List<Message>
}
open class Client: Disposable, ClientInterface
{
    constructor(withHandle: UniffiWithHandle, handle: Long) {
    }
    constructor() :
        this(UniffiWithHandle)
    override suspend fun `search`(`words`: kotlin.String) : List<Message> {
    }
}
public object FfiConverterTypeClient: FfiConverter<Client, Long> {
    override fun lower(value: Client): Long {
    }
}
data class Config (
    val `pinned`: kotlin.ByteArray? = null 
){
    companion object
}
enum class Level {
    ERROR,
    WARN;
    companion object
}
sealed class Event {
    object Gone : Event()
    data class Added(
        val `added`: Message) : Event()
    {
    // A comment.
}
        /**
         * A name.
         */ fun `code`(): kotlin.String {
    }
}
public object FfiConverterTypeEvent : FfiConverterRustBuffer<Event>{
    override fun read(buf: ByteBuffer): Event {
}
     suspend fun `open`(`path`: kotlin.String) : Client {
        return call()
    }
    @Throws(SealpostException::class) fun `shown`(`name`: kotlin.String): kotlin.String {
    }
";

    #[test]
    fn only_declarations_are_kept() {
        let found = of_kotlin(GENERATED);
        assert!(!found.contains("notThis") && !found.contains("lower") && !found.contains("Comment"));
        for line in [
            "    suspend fun search(words: String, limit: UInt = 50u): List<Message>",
            "    constructor()",
            "    val pinned: ByteArray? = null",
            "    ERROR",
            "    WARN",
            "    object Gone: Event()",
            "    data class Added",
            "    val added: Message",
            "    fun code(): String",
            "suspend fun open(path: String): Client",
            "fun shown(name: String): String",
        ] {
            assert!(found.lines().any(|found| found == line), "{line:?} is not in\n{found}");
        }
    }
}
