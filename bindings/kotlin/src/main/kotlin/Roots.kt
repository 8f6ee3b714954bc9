/*
 * Whom to believe that it is the relay, where the library cannot ask the platform by itself.
 */
package io.github.sealpost

import com.sun.jna.Platform
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import java.security.KeyStore
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager

/**
 * Opens the database, brings in what waits at the relay, and closes it again: for the few seconds and the little memory that
 * the system gives to a push notification. Ends at the latest after [atMostMs], or when it is cancelled (by [cancel], else with the
 * coroutine), and gives what is new by then: it is on disk.
 *
 * @throws SealpostException.Storage with `IN_USE` when the app has the database open, and receives by itself.
 * @throws SealpostException.Unauthorized when nobody is registered here.
 */
public suspend fun fetchForPush(
    database: String,
    key: ByteArray,
    relay: String,
    atMostMs: UInt = 20_000u,
    config: Config = Config(),
    cancel: CancelToken? = null,
): Fetched {
    if (cancel == null) return cancellable { token -> fetchForPush(database, key, relay, atMostMs, config, token) }
    return fetchWaiting(database, key, relay, atMostMs, config.withRoots(), cancel)
}

/** The root certificates (DER) that Java believes in; on Android as the app's network security configuration has it. */
public fun platformRoots(): List<ByteArray> {
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    factory.init(null as KeyStore?)
    return factory.trustManagers.filterIsInstance<X509TrustManager>().flatMap { it.acceptedIssuers.asList() }.map { it.encoded }
}

/** On Android the platform's roots, where the app gives none; elsewhere the library asks the platform itself. */
internal suspend fun Config.withRoots(android: Boolean = Platform.isAndroid()): Config =
    if (android && roots == null) copy(roots = withContext(Dispatchers.IO) { platformRoots() }) else this
