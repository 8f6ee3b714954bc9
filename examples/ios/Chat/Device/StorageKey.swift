import Foundation
import Security

/// The 32 random bytes that the database is encrypted with, in the Keychain.
///
/// They are readable from the first unlocking after a start on, as a push notification may come while the phone is locked. They
/// never leave this device, not even in a backup. The app and its extension share them by their Keychain group.
enum StorageKey {
    private static let place: [CFString: Any] = [
        kSecClass: kSecClassGenericPassword,
        kSecAttrService: "sealpost",
        kSecAttrAccount: "storage key",
        // On a Mac too, the Keychain that iOS has.
        kSecUseDataProtectionKeychain: true,
    ]

    /// Made at the first call.
    static func load() throws -> Data {
        var found: CFTypeRef?
        let query = place.merging([kSecReturnData: true]) { $1 }
        switch SecItemCopyMatching(query as CFDictionary, &found) {
        case errSecSuccess: return found as? Data ?? Data()
        case errSecItemNotFound: return try make()
        // Before the first unlocking: `errSecInteractionNotAllowed`. Try again later, and never make another key.
        case let status: throw KeychainError(status: status)
        }
    }

    private static func make() throws -> Data {
        var key = Data(count: 32)
        let filled = key.withUnsafeMutableBytes { SecRandomCopyBytes(kSecRandomDefault, $0.count, $0.baseAddress!) }
        guard filled == errSecSuccess else { throw KeychainError(status: filled) }
        let item = place.merging([
            kSecValueData: key,
            kSecAttrAccessible: kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly,
        ]) { $1 }
        let status = SecItemAdd(item as CFDictionary, nil)
        guard status == errSecSuccess else { throw KeychainError(status: status) }
        return key
    }
}

/// What the Keychain says.
struct KeychainError: LocalizedError {
    let status: OSStatus

    var errorDescription: String? { SecCopyErrorMessageString(status, nil) as String? }
}
