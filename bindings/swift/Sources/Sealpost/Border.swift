// Checks that the generated sources make before they call the library in places where Swift cannot throw, such as methods of an
// error or a message that an app has created itself. The generator inserts the calls.

/// Whether the native library is present and matches these sources.
var libraryFits: Bool {
    (try? uniffiEnsureSealpostInitialized()) != nil
}
