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

/** The root certificates (DER) that Java believes in; on Android as the app's network security configuration has it. */
public fun platformRoots(): List<ByteArray> {
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    factory.init(null as KeyStore?)
    return factory.trustManagers.filterIsInstance<X509TrustManager>().flatMap { it.acceptedIssuers.asList() }.map { it.encoded }
}

/** On Android the platform's roots, where the app gives none; elsewhere the library asks the platform itself. */
internal suspend fun Config.withRoots(android: Boolean = Platform.isAndroid()): Config =
    if (android && roots == null) copy(roots = withContext(Dispatchers.IO) { platformRoots() }) else this
