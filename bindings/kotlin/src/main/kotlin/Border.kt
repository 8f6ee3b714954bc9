/*
 * What the generated sources call before they cross to the library, so that what is wrong with the library, a text or a
 * token is a `SealpostException` as everything else. The last step of generating puts these calls there.
 */
package io.github.sealpost

/** The native library: loaded once, and compared with these sources. */
private object NativeLibrary {
    val problem: LinkageError? = try {
        uniffiEnsureInitialized()
        null
    } catch (problem: LinkageError) {
        problem
    }
}

/**
 * Where the functions of the library are.
 *
 * @throws SealpostException.Misuse when there is no library, or one of another version. Its cause says where it was looked for.
 */
internal fun nativeLibrary(): UniffiLib {
    NativeLibrary.problem?.let { problem ->
        throw SealpostException.Misuse("the native library is missing, or not of this version").apply { initCause(problem) }
    }
    return UniffiLib
}

/** Half a character is no text. */
internal fun requireText(argument: String, text: String?) {
    if (text != null && !Charsets.UTF_8.newEncoder().canEncode(text)) throw SealpostException.InvalidArgument(argument)
}

/** Found only when the token is handed over, a closed one would leave behind what was handed over before it. */
internal fun requireOpen(token: CancelToken?) {
    if (token?.uniffiIsDestroyed == true) throw SealpostException.Misuse("the token was closed")
}
