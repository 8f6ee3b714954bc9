// What the generated sources ask before they call the library where Swift lets nothing be thrown: of an error or a message that an
// app has made itself. The last step of generating puts these questions there.

/// Whether the native library is there as these sources expect it.
var libraryFits: Bool {
    (try? uniffiEnsureSealpostInitialized()) != nil
}
