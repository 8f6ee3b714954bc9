/*
 * The trusted root certificates, on platforms where the library cannot query them itself.
 */
package io.github.sealpost

import com.sun.jna.Platform
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import java.security.KeyStore
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager

/** The root certificates (DER) that Java trusts; on Android, according to the app's network security configuration. */
public fun platformRoots(): List<ByteArray> {
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    factory.init(null as KeyStore?)
    return factory.trustManagers.filterIsInstance<X509TrustManager>().flatMap { it.acceptedIssuers.asList() }.map { it.encoded }
}

/** Adds the platform's roots on Android if the app gives none; on other platforms, the library queries them itself. */
internal suspend fun Config.withRoots(android: Boolean = Platform.isAndroid()): Config =
    if (android && roots == null) copy(roots = withContext(Dispatchers.IO) { platformRoots() }) else this
