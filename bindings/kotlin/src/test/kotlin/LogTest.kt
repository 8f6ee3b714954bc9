package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.util.concurrent.ConcurrentLinkedQueue

class LogTest {
    @Test
    fun `lines reach the logger, and exceptions that it throws are ignored`() = world { world ->
        val lines = ConcurrentLinkedQueue<LogLine>()
        setLogger(
            object : Logger {
                override fun log(line: LogLine) {
                    lines += line
                    val what = "a logger that is broken"
                    throw if (lines.size % 2 == 0) IllegalStateException(what) else AssertionError(what)
                }
            },
            LogLevel.DEBUG,
        )
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                eventually { Unit.takeIf { ada.connectionState() == ConnectionState.LIVE } }
                ada.directThread(ben.userId()).use { hers ->
                    world.relay.kill()
                    hers.sendText("while it is gone")
                    // Each attempt to connect fails and is logged, even after the logger has thrown.
                    eventually { Unit.takeIf { lines.size >= 6 } ?: ada.reconnect().let { null } }
                    world.relay.start()
                    ada.reconnect()
                    ben.reconnect()
                    ben.directThread(ada.userId()).use { assertEquals(listOf("while it is gone"), it.textsWhen(1)) }
                }
            }
        }
        // Replaces the logger, so that it does not affect other tests.
        setLogger(
            object : Logger {
                override fun log(line: LogLine) = Unit
            },
            LogLevel.ERROR,
        )
        assertTrue(lines.all { it.target.startsWith("sealpost") && it.text.isNotEmpty() })
    }
}
