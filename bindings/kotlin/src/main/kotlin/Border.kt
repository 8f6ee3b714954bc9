/*
 * Checks that the generated sources make before they call the native library, so that a missing library, an invalid text or
 * a closed token is reported as a `SealpostException`. The generator inserts the calls of these functions.
 */
package io.github.sealpost

/** Loads the native library once, and checks that it matches these sources. */
private object NativeLibrary {
    val problem: LinkageError? = try {
        uniffiEnsureInitialized()
        null
    } catch (problem: LinkageError) {
        problem
    }
}

/**
 * The functions of the native library.
 *
 * @throws SealpostException.Misuse if the library is missing or has another version. Its cause says where the library was searched for.
 */
internal fun nativeLibrary(): UniffiLib {
    NativeLibrary.problem?.let { problem ->
        throw SealpostException.Misuse("the native library is missing, or not of this version").apply { initCause(problem) }
    }
    return UniffiLib
}

/** Rejects a text with an unpaired surrogate, which UTF-8 cannot represent. */
internal fun requireText(argument: String, text: String?) {
    if (text != null && !Charsets.UTF_8.newEncoder().canEncode(text)) throw SealpostException.InvalidArgument(argument)
}

/** Rejects a list with such a text. */
internal fun requireText(argument: String, texts: List<String>?): Unit = texts.orEmpty().forEach { requireText(argument, it) }

/** If a closed token were only found when it is passed on, the arguments that were passed before it would leak. */
internal fun requireOpen(token: CancelToken?) {
    if (token?.uniffiIsDestroyed == true) throw SealpostException.Misuse("the token was closed")
}
