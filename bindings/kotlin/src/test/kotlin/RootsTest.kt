package io.github.sealpost

import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.file.Files
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate

class RootsTest {
    @Test
    fun `the library accepts the platform's roots`() = runBlocking {
        val roots = platformRoots()
        val factory = CertificateFactory.getInstance("X.509")
        val parsed = roots.map { factory.generateCertificate(it.inputStream()) as X509Certificate }
        assertTrue(parsed.any { it.basicConstraints >= 0 }, "none of ${parsed.size} may sign others")
        // Nothing listens there, so the roots were accepted before the connection failed.
        assertEquals("offline.unreachable", refusal(Config(roots)).code())
    }

    @Test
    fun `roots that cannot be read are reported as misuse`() = runBlocking {
        for (roots in listOf(emptyList(), listOf(byteArrayOf()), listOf("no certificate".toByteArray()))) {
            assertEquals("misuse", refusal(Config(roots)).code())
        }
    }

    @Test
    fun `Java's roots are used only on Android, and only if the app gives none`() = runBlocking {
        assertNull(Config().withRoots().roots)
        assertEquals(platformRoots().size, Config().withRoots(android = true).roots?.size)
        val own = Config(platformRoots().take(1))
        assertSame(own, own.withRoots(android = true))
    }

    private suspend fun refusal(config: Config): SealpostException {
        val folder = Files.createTempDirectory("sealpost")
        try {
            openClient("$folder/ada.db", key("ada"), "https://127.0.0.1:1", config = config).close()
        } catch (refused: SealpostException) {
            return refused
        } finally {
            folder.toFile().deleteRecursively()
        }
        throw AssertionError("nobody is there, and yet it was opened")
    }
}
