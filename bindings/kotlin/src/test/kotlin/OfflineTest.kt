package io.github.sealpost

import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.parallel.Execution
import org.junit.jupiter.api.parallel.ExecutionMode
import java.lang.ProcessBuilder.Redirect.DISCARD

/** Runs in parallel with the other tests, because one of its cases takes the 15 seconds after which the library stops waiting. */
@Execution(ExecutionMode.CONCURRENT)
class OfflineTest {
    @Test
    fun `a relay that cannot be used is reported with the reason`() = world { world ->
        UnusableRelays(world).use { relays ->
            OfflineReason.entries.map { reason ->
                async {
                    val code = "offline.${reason.name.lowercase()}"
                    val told = thrownBy<SealpostException.Offline> {
                        openClient(world.database(code), key(code), relays.urls.getValue(code))
                    }
                    assertEquals(reason, told.reason)
                    assertEquals(code to (reason != OfflineReason.REFUSED), told.code() to told.retryable())
                }
            }.awaitAll()
        }
    }
}

/** Servers that cannot be used as relays, by the code of the error that results. */
private class UnusableRelays(world: World) : AutoCloseable {
    private val process = ProcessBuilder(System.getProperty("sealpost.trouble"), "relays", "${world.folder}").redirectError(DISCARD).start()

    /** One line for each: `offline.busy http://127.0.0.1:39527`. */
    val urls = process.inputStream.bufferedReader().lineSequence().take(OfflineReason.entries.size)
        .associate { line -> line.substringBefore(' ') to line.substringAfter(' ') }

    override fun close() {
        process.destroyForcibly().waitFor()
    }
}
