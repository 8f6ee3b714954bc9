extension Message {
    /// What the message says, when it is a text.
    public var text: String? {
        if case .text(let text) = body { text } else { nil }
    }

    /// Whether one of ours has come at least as far as the relay.
    public var isSent: Bool {
        switch direction {
        case .outgoing(.sent), .outgoing(.delivered), .outgoing(.read): true
        case .outgoing(.queued), .outgoing(.failed), .incoming: false
        }
    }
}

/// Nothing that a person wrote ends up in a log.
extension MessageBody: CustomStringConvertible, CustomReflectable {
    public var description: String { debugDescription }

    public var customMirror: Mirror { Mirror(self, children: []) }
}
