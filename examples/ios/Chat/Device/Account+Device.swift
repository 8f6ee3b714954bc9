import Foundation

extension Account {
    /// The account of this device, in a folder that the app and its extension share.
    static func onThisDevice() throws -> Account {
        let shared = "group.com.example.sealpost.chat"
        let container = FileManager.default.containerURL(forSecurityApplicationGroupIdentifier: shared)
        guard var folder = container?.appending(path: "account", directoryHint: .isDirectory) else {
            throw CocoaError(.fileNoSuchFile)
        }
        // Open to a push notification while the phone is locked; the database is encrypted by its own key anyhow.
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true,
            attributes: [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication])
        // An old copy of an account must never come back: its keys have moved on.
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try folder.setResourceValues(values)
        return Account(
            database: folder.appending(path: "account.db").path,
            relay: "http://127.0.0.1:8470",
            key: { try StorageKey.load() })
    }
}
