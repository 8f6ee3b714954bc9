package io.github.sealpost

import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.parallel.Execution
import org.junit.jupiter.api.parallel.ExecutionMode
import java.lang.ProcessBuilder.Redirect.DISCARD

/** Beside the other tests, as one answer takes as long as the library is patient: 15 seconds. */
@Execution(ExecutionMode.CONCURRENT)
class OfflineTest {
    @Test
    fun `a relay that is of no use is told by the reason`() = world { world ->
        RelaysOfNoUse(world).use { relays ->
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

/** What may stand in the relay's place, by the code of the error that tells it. */
private class RelaysOfNoUse(world: World) : AutoCloseable {
    private val process = ProcessBuilder(System.getProperty("sealpost.trouble"), "relays", "${world.folder}").redirectError(DISCARD).start()

    /** A line for each: `offline.busy http://127.0.0.1:39527`. */
    val urls = process.inputStream.bufferedReader().lineSequence().take(OfflineReason.entries.size)
        .associate { line -> line.substringBefore(' ') to line.substringAfter(' ') }

    override fun close() {
        process.destroyForcibly().waitFor()
    }
}
