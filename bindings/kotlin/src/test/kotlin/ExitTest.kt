package io.github.sealpost

import kotlinx.coroutines.DelicateCoroutinesApi
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.GlobalScope
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.microseconds

/** How many JVMs end in each way, unless `SEALPOST_ROUNDS` gives another number. */
private val ROUNDS = System.getenv("SEALPOST_ROUNDS")?.toInt() ?: 3

/** Many times longer than any JVM runs that ends at all. */
private const val LIMIT_S = 120L

class ExitTest {
    @Test
    fun `a JVM may end while a client is at work, and its database is intact`() = World().use { world ->
        runBlocking(Dispatchers.IO.limitedParallelism(Runtime.getRuntime().availableProcessors())) {
            world.person("ben") { ben ->
                // Each way has its own database, because only one process at a time can use one.
                for (way in Way.entries) world.person(way.name) { it.directThread(ben.userId()).close() }
            }
            val endings = Way.entries.map { way -> async { List(ROUNDS) { round -> world.endingOf(way, round) } } }.awaitAll()
            assertEquals(Way.entries.associateWith { List(ROUNDS) { _ -> "exited with ${it.code}" } }, Way.entries.zip(endings).toMap())
            for (way in Way.entries) {
                assertEquals("ok", trouble("integrity", world.database(way.name), hexKey(way.name)), way.name)
                val newest = world.person(way.name) { ada -> ada.threads().single().newest }
                assertTrue(way == Way.CANCELLED_OPEN || newest?.text == "a line", "$way was at work: $newest")
            }
        }
    }

    private fun World.endingOf(way: Way, round: Int): String {
        val report = File("$folder/$way-$round.log")
        val errors = File("$folder/$way-$round.err")
        val java = File(System.getProperty("java.home"), "bin/java").path
        // It starts faster if it compiles little.
        val options = listOf("-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:ErrorFile=$report", "-XX:-CreateCoredumpOnCrash")
        val program = listOf("-cp", System.getProperty("java.class.path"), Exits::class.java.name)
        val arguments = listOf(database(way.name), relay.url, way.name, "$round")
        val process = ProcessBuilder(listOf(java) + options + program + arguments)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(errors)
            .start()
        if (!process.waitFor(LIMIT_S, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor()
            return "hung"
        }
        if (report.exists()) return "crashed:\n${report.useLines { it.take(40).joinToString("\n") }}"
        val thrown = errors.readLines().filter { "SealpostException" in it }
        return if (thrown.isEmpty()) "exited with ${process.exitValue()}" else "threw: $thrown"
    }
}

/** A way in which a JVM ends, and the exit status that follows from it. */
internal enum class Way(val code: Int) {
    /** `System.exit` with a client that was never closed. */
    LEAKED_CLIENT(0),

    /** `main` returns while another thread uses a client. */
    CLIENT_OF_ANOTHER_THREAD(0),

    /** `System.exit` directly after an `openClient` that was cancelled. */
    CANCELLED_OPEN(0),

    /** `Runtime.halt`, which runs no shutdown hooks. */
    HALT(7),

    /** `System.exit` on another thread while the main thread waits for a call. */
    EXIT_DURING_A_CALL(3),

    /** An exception that `main` does not catch. */
    UNCAUGHT_EXCEPTION(1),
}

/** A program that ends while its client is at work. The number of the round determines when. */
internal object Exits {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val (database, relay, way, round) = arguments
        val delay = round.toInt() % 20
        val open = suspend { openClient(database, key(way), relay) }
        if (way == Way.CANCELLED_OPEN.name) {
            runBlocking { withTimeoutOrNull((delay * 300).microseconds) { open() } }
            exitProcess(Way.CANCELLED_OPEN.code)
        }
        val client = runBlocking { open() }
        keepBusy(client)
        // From the first moments of the work to some milliseconds of it.
        val end = { code: Int ->
            java.lang.Thread.sleep(1L + delay)
            exitProcess(code)
        }
        when (Way.valueOf(way)) {
            Way.LEAKED_CLIENT -> end(Way.LEAKED_CLIENT.code)
            Way.CLIENT_OF_ANOTHER_THREAD -> {
                thread(isDaemon = true) { runBlocking { write(client) } }
                java.lang.Thread.sleep(1L + delay)
            }
            Way.CANCELLED_OPEN -> error("it was ended above")
            Way.HALT -> {
                java.lang.Thread.sleep(1L + delay)
                Runtime.getRuntime().halt(Way.HALT.code)
            }
            Way.EXIT_DURING_A_CALL -> {
                thread(isDaemon = true) { end(Way.EXIT_DURING_A_CALL.code) }
                runBlocking { write(client) }
            }
            Way.UNCAUGHT_EXCEPTION -> {
                java.lang.Thread.sleep(1L + delay)
                error("as asked")
            }
        }
    }

    /** Gives the writer and the readers of the database something to do all the time. */
    @OptIn(DelicateCoroutinesApi::class)
    private fun keepBusy(client: Client) {
        runBlocking { client.thread(client.threads().single().id).use { it.sendText("a line") } }
        repeat(3) {
            GlobalScope.launch { write(client) }
            GlobalScope.launch { client.thread(client.threads().single().id).use { while (true) it.history() } }
        }
    }

    private suspend fun write(client: Client): Nothing = client.thread(client.threads().single().id).use { thread ->
        while (true) thread.sendText("a line")
        @Suppress("UNREACHABLE_CODE")
        error("it does not end")
    }
}
