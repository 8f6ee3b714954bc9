import Foundation
import Security

/// The random 32-byte key of the database, in the Keychain.
///
/// It is readable once the phone has been unlocked after its start, because a push notification may arrive while the
/// phone is locked. It never leaves this device, not even in a backup. The app and its extension share it through
/// their Keychain group.
enum StorageKey {
    private static let place: [CFString: Any] = [
        kSecClass: kSecClassGenericPassword,
        kSecAttrService: "sealpost",
        kSecAttrAccount: "storage key",
        // Use the iOS-style Keychain on a Mac too.
        kSecUseDataProtectionKeychain: true,
    ]

    /// Creates the key at the first call.
    static func load() throws -> Data {
        var found: CFTypeRef?
        let query = place.merging([kSecReturnData: true]) { $1 }
        switch SecItemCopyMatching(query as CFDictionary, &found) {
        case errSecSuccess: return found as? Data ?? Data()
        case errSecItemNotFound: return try make()
        // Before the first unlock, this is `errSecInteractionNotAllowed`. Try again later, and never create another
        // key.
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

/// An error of the Keychain.
struct KeychainError: LocalizedError {
    let status: OSStatus

    var errorDescription: String? { SecCopyErrorMessageString(status, nil) as String? }
}
