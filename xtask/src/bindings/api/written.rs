//! The same for the sources that are written by hand, where each public declaration says that it is public.

/// The public declarations of these sources, one on each line, with members indented.
pub(crate) fn of_written(sources: &[String]) -> String {
    let mut api = String::new();
    for source in sources {
        let (mut within, mut begun) = (None, String::new());
        for line in source.lines() {
            let word = line.trim();
            if begun.is_empty() {
                if line.starts_with("extension ") || line.starts_with("public extension ") {
                    within = Some(head(line));
                    continue;
                }
                if !word.starts_with("public ") {
                    continue;
                }
                if line.starts_with("public ") {
                    within = None;
                }
            }
            // A declaration continues until its parentheses are closed, at the margin where it has begun.
            begun.push_str(word);
            begun.push(' ');
            if depth(&begun) > 0 {
                continue;
            }
            if let Some(extended) = within.take() {
                api.push_str(&extended);
                api.push('\n');
            }
            if line.starts_with(' ') {
                api.push_str("    ");
            }
            api.push_str(&head(&begun));
            api.push('\n');
            begun.clear();
        }
    }
    api
}

fn depth(text: &str) -> usize {
    let count = |sign| text.matches(sign).count();
    count('(').saturating_sub(count(')'))
}

/// The declaration without its body or value, and without spaces beside parentheses.
fn head(declaration: &str) -> String {
    let mut depth = 0_usize;
    let mut end = declaration.len();
    for (at, sign) in declaration.char_indices() {
        match sign {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            '{' | '=' if depth == 0 && declaration[..at].ends_with(' ') => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let head = declaration[..end].split_whitespace().collect::<Vec<_>>().join(" ");
    head.replace("( ", "(").replace(", )", ")").replace(" )", ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_declarations_of_both_languages_are_kept() {
        let kotlin = "\
/** public fun inAComment() */
public suspend fun open(
    path: String,
    config: Config = Config(),
): Client =
    when (path) {
        else -> secret()
    }
private fun secret() {}
public data class Shown(
    val messages: List<Message> = emptyList(),
) {
    public fun after(change: Change): Shown = copy()
    private fun without(): Shown = this
}
public val Message.text: String?
    get() = null
";
        let expected = "\
public suspend fun open(path: String, config: Config = Config()): Client
public data class Shown(val messages: List<Message> = emptyList())
    public fun after(change: Change): Shown
public val Message.text: String?
";
        assert_eq!(of_written(&[kotlin.to_owned()]), expected);
        let swift = "\
extension Client {
    /// public var inAComment: Int
    public func use<Answer>(
        _ body: (Client) async throws -> Answer
    ) async throws -> Answer {
        try await body(self)
    }
    func secret() {}
}
public struct Shown: Sendable {
    public let older: Position?
    public init(older: Position? = nil) { self.older = older }
}
";
        let expected = "\
extension Client
    public func use<Answer>(_ body: (Client) async throws -> Answer) async throws -> Answer
public struct Shown: Sendable
    public let older: Position?
    public init(older: Position? = nil)
";
        assert_eq!(of_written(&[swift.to_owned()]), expected);
    }
}
