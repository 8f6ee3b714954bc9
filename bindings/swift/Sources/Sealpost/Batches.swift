/// The elements that the library delivers in batches, one by one. Each iterator has its own view, which begins when the iterator is
/// made and ends with it: nothing that happens between `makeAsyncIterator()` and the first `next()` is missed.
///
/// Cancelling the task ends the wait with a `CancellationError`. The next iteration starts from the beginning.
public struct Batches<Element: Sendable>: AsyncSequence, Sendable {
    /// Returns the next batch, or `nil` at the end.
    typealias Pull = () async throws -> [Element]?

    private let begin: @Sendable () throws -> Pull

    init(_ begin: @escaping @Sendable () throws -> Pull) {
        self.begin = begin
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(begin: begin)
    }

    /// One iteration.
    public struct Iterator: AsyncIteratorProtocol {
        private let begin: @Sendable () throws -> Pull
        /// The view, or why it could not begin, until that was thrown.
        private var pull: Result<Pull, any Error>?
        private var batch = [Element]().makeIterator()

        fileprivate init(begin: @escaping @Sendable () throws -> Pull) {
            self.begin = begin
            pull = Result(catching: begin)
        }

        /// The next element, or `nil` at the end.
        public mutating func next() async throws -> Element? {
            try Task.checkCancellation()
            while true {
                if let element = batch.next() { return element }
                guard let more = try await view()() else { return nil }
                batch = more.makeIterator()
            }
        }

        /// The view. One that could not begin is tried again at the next call.
        private mutating func view() throws -> Pull {
            let begun = pull ?? Result(catching: begin)
            pull = nil
            let view = try begun.get()
            pull = .success(view)
            return view
        }
    }
}
