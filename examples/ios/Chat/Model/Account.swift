import Foundation

/// Where an account's database is, and which relay the account is registered at.
struct Account: Sendable {
    /// The path of the database, in an existing folder.
    let database: String
    let relay: String
    /// Reads the 32-byte key that the database is encrypted with.
    let key: @Sendable () throws -> Data
}
