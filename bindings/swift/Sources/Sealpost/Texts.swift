// Ranges of texts. The library counts bytes of UTF-8.

extension TextRange {
    /// The part of a text, for `Markup`. The range must be one of this text.
    public init(_ range: Range<String.Index>, in text: String) {
        let start = text.utf8.distance(from: text.startIndex, to: range.lowerBound)
        let length = text.utf8.distance(from: range.lowerBound, to: range.upperBound)
        self.init(start: UInt32(clamping: start), length: UInt32(clamping: length))
    }

    /// The range in a text; `nil` if it is not within the text, or begins or ends inside of a character.
    public func range(in text: String) -> Range<String.Index>? {
        let bytes = text.utf8
        guard
            let start = bytes.index(bytes.startIndex, offsetBy: Int(start), limitedBy: bytes.endIndex),
            let end = bytes.index(start, offsetBy: Int(length), limitedBy: bytes.endIndex),
            let lower = start.samePosition(in: text.unicodeScalars),
            let upper = end.samePosition(in: text.unicodeScalars)
        else { return nil }
        return lower..<upper
    }
}

extension FoundRange {
    /// The range in the text in which it was found; `nil` in another text.
    public func range(in text: String) -> Range<String.Index>? {
        guard end >= start else { return nil }
        return TextRange(start: start, length: end - start).range(in: text)
    }
}
