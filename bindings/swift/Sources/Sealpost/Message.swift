extension Message {
    /// The text of the message, or `nil` if it is not a text.
    public var text: String? {
        if case .text(let text) = body { text } else { nil }
    }

    /// Whether this is an outgoing message that has at least reached the relay.
    public var isSent: Bool {
        switch direction {
        case .outgoing(.sent), .outgoing(.delivered), .outgoing(.read), .outgoing(.expired): true
        case .outgoing(.queued), .outgoing(.failed), .incoming: false
        }
    }
}

/// A value whose descriptions contain nothing that a person wrote, so that it cannot end up in a log.
public protocol Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension Redacted {
    public var description: String { debugDescription }

    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension MessageBody: Redacted {}
extension Quote: Redacted {}
extension ReactionCount: Redacted {}
extension Reaction: Redacted {}
extension Version: Redacted {}
extension ContactCard: Redacted {}
extension Location: Redacted {}
extension Poll: Redacted {}
extension PollOption: Redacted {}
extension Vote: Redacted {}
extension ThreadSummary: Redacted {}
extension LinkPreview: Redacted {}
extension Search: Redacted {}
extension Profile: Redacted {}
extension OwnDevice: Redacted {}
extension SrtpKey: Redacted {}
extension CallSignal: Redacted {}
extension GroupDetails: Redacted {}
