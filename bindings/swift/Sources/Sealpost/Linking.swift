import Foundation

/// Opens the client of an account. If the database is new, this device is linked as a companion first, to the account that the person
/// has on another device. If the task is cancelled, or the process ends, the next call continues the link with the same code.
///
/// - Parameters:
///   - name: what the person sees at the primary device, and can change there.
///   - showCode: shows the code of `Linking.code`. It must not be sent to anybody, nor logged.
///   - showDigits: shows the digits of `Linking.digits` in the place of the code. The person compares them, and confirms at the primary
///     device.
/// - Throws: `Link` if the link has ended. The next call begins another one.
public func linkClient(
    database: String,
    key: Data,
    relay: String,
    name: String,
    config: Config = Config(),
    isolation: isolated (any Actor)? = #isolation,
    showCode: (String) async throws -> Void,
    showDigits: (String) async throws -> Void
) async throws -> Client {
    switch try await openAccount(database: database, key: key, relay: relay, config: config) {
    case .ready(let client): return client
    case .unregistered(let registration):
        let linking = try await registration.link(name: name)
        try await showCode(linking.code())
        try await showDigits(linking.digits())
        return try await linking.finish()
    }
}
