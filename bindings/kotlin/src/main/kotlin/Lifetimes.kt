/*
 * Opening a client in one call, and closing it in any case.
 */
package io.github.sealpost

import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext

/**
 * The client of an account, which is registered first when the database holds none.
 *
 * @param database one file for each account, in a folder that exists.
 * @param key 32 random bytes that the app keeps in the Keystore.
 * @param relay `https://host[:port]`, or `http://` on loopback.
 * @param proof what the relay asks for to register; nothing, in development.
 * @throws SealpostException of a type of its own for each thing that can be done about it.
 */
public suspend fun openClient(
    database: String,
    key: ByteArray,
    relay: String,
    proof: ByteArray = byteArrayOf(),
    config: Config = Config(),
): Client =
    when (val opened = withContext(NonCancellable) { openAccount(database, key, relay, config.withRoots()) }) {
        is Opened.Ready -> opened.client
        is Opened.Unregistered -> opened.registration.use { registration ->
            cancellable { token -> registration.register(proof, token) }
        }
    }

/**
 * Runs [block] with this client, then shuts it down and closes it, however the block ends: the database may be opened again
 * or deleted after this.
 */
public suspend inline fun <R> Client.useAndShutDown(block: (Client) -> R): R = use {
    var failure: Throwable? = null
    try {
        block(this)
    } catch (thrown: Throwable) {
        failure = thrown
        throw thrown
    } finally {
        try {
            withContext(NonCancellable) { shutdown() }
        } catch (problem: SealpostException) {
            // The first failure is the one to tell of.
            failure?.addSuppressed(problem) ?: throw problem
        }
    }
}
