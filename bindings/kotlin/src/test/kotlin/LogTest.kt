package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.util.concurrent.ConcurrentLinkedQueue

class LogTest {
    @Test
    fun `lines reach the logger, and what it throws harms nobody`() = world { world ->
        val lines = ConcurrentLinkedQueue<LogLine>()
        setLogger(
            object : Logger {
                override fun log(line: LogLine) {
                    lines += line
                    throw IllegalStateException("a logger that is broken")
                }
            },
            LogLevel.DEBUG,
        )
        world.person("ada") { ada ->
            eventually { Unit.takeIf { ada.connectionState() == ConnectionState.LIVE } }
            world.relay.kill()
            eventually { Unit.takeIf { lines.isNotEmpty() } }
            world.relay.start()
            ada.reconnect()
            eventually { Unit.takeIf { ada.connectionState() == ConnectionState.LIVE } }
        }
        assertTrue(lines.all { it.target.startsWith("sealpost") && it.text.isNotEmpty() })
    }
}
