package io.github.sealpost

import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class BugTest {
    @Test
    fun `a bug in the library is reported as one`() = world { world ->
        world.person("ben") { ben ->
            world.person("ada") { ada -> ada.directThread(ben.userId()).close() }
            // The library relies on this insert to succeed.
            world.sql("ada", "CREATE TRIGGER broken BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no'); END")
            world.person("ada") { ada ->
                ada.directThread(ben.userId()).use { thread ->
                    val told = thrownBy<SealpostException.Bug> { thread.sendText("in vain") }
                    assertEquals("a row broke a rule of the schema", told.what)
                    assertEquals("bug" to false, told.code() to told.retryable())
                }
            }
        }
    }

    @Test
    fun `a panic is reported as a bug, and its location to the logger`() {
        val library = System.getProperty("sealpost.panicking")
        val said = said(Panics::class.java, library) { environment()["LD_PRELOAD"] = library }
        val twice = listOf("ERROR, sealpost, a panic at", "bug, false, a bug in the library: a panic in a call")
        assertEquals(twice + twice, said.map { it.substringBefore(" /") })
    }
}

/** Prints what an app sees of two panics: one in a synchronous call, one in an asynchronous call. */
internal object Panics {
    private val printing = object : Logger {
        override fun log(line: LogLine) = println("${line.level}, ${line.target}, ${line.text}")
    }

    @JvmStatic
    fun main(words: Array<String>) = runBlocking {
        setLogger(printing, LogLevel.ERROR)
        for (call in listOf<suspend () -> Unit>({ setLogger(printing, LogLevel.ERROR) }, { open() })) {
            val told = thrownBy<SealpostException.Bug> { call() }
            println("${told.code()}, ${told.retryable()}, $told")
        }
    }

    private suspend fun open() = openClient("no/such/folder", key("new"), "http://127.0.0.1:1").close()
}
