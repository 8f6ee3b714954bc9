import Foundation
import Sealpost

/// Prints what an app sees of two panics: one in a synchronous call, one in an asynchronous call. A test runs it with a library
/// that panics.
@main
enum Panics {
    static func main() async throws {
        try setLogger(logger: Printing(), level: .error)
        await tell { try setLogger(logger: Printing(), level: .error) }
        await tell {
            _ = try await openClient(database: "no/such/folder", key: Data(count: 32), relay: "http://127.0.0.1:1")
        }
    }

    private static func tell(_ call: @Sendable () async throws -> Void) async {
        do {
            try await call()
            print("nothing was thrown")
        } catch let problem as SealpostError {
            print("\(problem.code()), \(problem.retryable()), \(problem)")
        } catch {
            print(error)
        }
    }
}

private final class Printing: Logger {
    func log(line: LogLine) { print("\(line.level), \(line.target), \(line.text)") }
}
