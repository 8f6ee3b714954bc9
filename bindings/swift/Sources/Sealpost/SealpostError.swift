import Foundation

extension SealpostError: CustomStringConvertible, LocalizedError {
    /// What went wrong, for a developer: apps say it in their own words, by case.
    public var errorDescription: String? { description }
}
