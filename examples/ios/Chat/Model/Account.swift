import Foundation

/// Where an account lives, and which relay it is at.
struct Account: Sendable {
    /// The path of the database, in a folder that exists.
    let database: String
    let relay: String
    /// Reads the 32 bytes that the database is encrypted with.
    let key: @Sendable () throws -> Data
}
