/*
 * Opening a client in one call, and closing it reliably.
 */
package io.github.sealpost

import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext

/**
 * Opens the client of an account, and registers the account first if the database is new.
 *
 * @param database the path of the account's database, in an existing folder. Each account has its own file.
 * @param key 32 random bytes that the app keeps in the Keystore.
 * @param relay `https://host[:port]`, or `http://` on loopback.
 * @param proof the proof that the relay requires for a registration; empty in development.
 * @throws SealpostException with a type for each way in which the app can react.
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
 * Runs [block] with this client, and then shuts it down and closes it, however the block ends. Afterwards, the database can be
 * opened again or deleted.
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
            // The first failure is the one that is thrown.
            failure?.addSuppressed(problem) ?: throw problem
        }
    }
}
