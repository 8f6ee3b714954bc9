import Foundation

extension Account {
    /// The account of this device, in a folder that the app shares with its extension.
    static func onThisDevice() throws -> Account {
        let shared = "group.com.example.sealpost.chat"
        let container = FileManager.default.containerURL(forSecurityApplicationGroupIdentifier: shared)
        guard var folder = container?.appending(path: "account", directoryHint: .isDirectory) else {
            throw CocoaError(.fileNoSuchFile)
        }
        // The extension must be able to open the file while the phone is locked. The database is encrypted with its
        // own key.
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true,
            attributes: [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication])
        // An old copy of an account must never be restored, because its ratchet keys would be out of date.
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try folder.setResourceValues(values)
        return Account(
            database: folder.appending(path: "account.db").path,
            relay: "http://127.0.0.1:8470",
            key: { try StorageKey.load() })
    }
}
