import Foundation

extension CallKeys {
    /// Overwrites the keys with zeros, in this value and in all its copies. Call it when the media library has made its own copy of them.
    /// The library itself has wiped its own; what the generated sources have copied is not reached. The salts are not
    /// secret (RFC 3711, section 3.2.1).
    public func wipe() {
        sending.wipe()
        receiving.wipe()
    }
}

extension SrtpKey {
    /// A mutation of the data would copy it first, if there is another copy of this value. 32 bytes are never stored inside of the value.
    fileprivate func wipe() {
        key.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            memset(UnsafeMutableRawPointer(mutating: start), 0, bytes.count)
        }
    }
}
