/// The elements that the library delivers in batches, one by one. Each iteration has its own view, which ends with it.
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

    /// One iteration. It starts when the first element is requested.
    public struct Iterator: AsyncIteratorProtocol {
        private let begin: @Sendable () throws -> Pull
        private var pull: Pull?
        private var batch = [Element]().makeIterator()

        fileprivate init(begin: @escaping @Sendable () throws -> Pull) {
            self.begin = begin
        }

        /// The next element, or `nil` at the end.
        public mutating func next() async throws -> Element? {
            try Task.checkCancellation()
            while true {
                if let element = batch.next() { return element }
                let pull = try self.pull ?? begin()
                self.pull = pull
                guard let more = try await pull() else { return nil }
                batch = more.makeIterator()
            }
        }
    }
}
