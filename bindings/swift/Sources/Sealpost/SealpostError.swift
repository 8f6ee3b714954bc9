import Foundation

extension SealpostError: CustomStringConvertible, LocalizedError {
    /// A description for developers. Apps show their own text for each case.
    public var errorDescription: String? { description }
}
