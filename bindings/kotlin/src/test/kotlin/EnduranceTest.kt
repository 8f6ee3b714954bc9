package io.github.sealpost

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import kotlin.random.Random
import kotlin.time.Duration.Companion.microseconds

/** How many coroutines do the same thing at the same time. */
private const val LANES = 20

class EnduranceTest {
    @Test
    fun `calls may be cancelled at any moment`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                val hers = ada.directThread(ben.userId())
                val dice = Random(20_261_122)
                repeat(2_000) { round ->
                    val call = launch {
                        when (round % 6) {
                            0 -> hers.sendText("round $round")
                            1 -> cancellable { ada.directThread(ben.userId(), it) }.close()
                            2 -> hers.changes().collect { }
                            3 -> ada.updates().collect { }
                            4 -> hers.history()
                            else -> ada.search("round")
                        }
                    }
                    delay(dice.nextInt(500).microseconds)
                    call.cancelAndJoin()
                }
                hers.sendText("the last")
                val his = ben.directThread(ada.userId())
                eventually { his.history(limit = 1u).messages.singleOrNull()?.takeIf { it.text == "the last" } }
                // Every message that was written arrives exactly once.
                val written = hers.texts()
                assertEquals(written, his.textsWhen(written.size))
                assertEquals(written.size, written.distinct().size)
                hers.close()
                his.close()
            }
        }
    }

    @Test
    fun `ten thousand messages pass through a flow`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                val (hers, his) = ada.directThread(ben.userId()) to ben.directThread(ada.userId())
                val arriving = async { his.arrivals().takeWhile { it.text != "the last" }.toList() }
                (0 until LANES).map { lane ->
                    async { repeat(10_000 / LANES) { hers.sendText("$lane.$it") } }
                }.awaitAll()
                hers.sendText("the last")
                val arrived = arriving.await().map { it.text }
                assertEquals(10_000, arrived.size)
                assertEquals(10_000, arrived.distinct().size)
                for (lane in 0 until LANES) {
                    val ofLane = arrived.filter { it!!.startsWith("$lane.") }
                    assertEquals((0 until 10_000 / LANES).map { "$lane.$it" }, ofLane)
                }
                hers.close()
                his.close()
            }
        }
    }

    @Test
    fun `a thousand clients, one after the other, leak nothing`() = world { world ->
        suspend fun cycles(count: Int) = coroutineScope {
            repeat(LANES) { lane ->
                launch { repeat(count / LANES) { world.person("person $lane") { it.threads() } } }
            }
        }
        cycles(200)
        System.gc()
        val (memory, threads) = resident() to threadCount()
        cycles(1_000)
        System.gc()
        val grown = resident() - memory
        assertTrue(grown < 24_000, "grew by $grown kB")
        assertTrue(threadCount() <= threads + 4, "threads: $threads, then ${threadCount()}")
    }

    @Test
    fun `calls may be made from many threads at the same time`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                val hers = ada.directThread(ben.userId())
                val view = hers.subscribe()
                view.snapshot()
                // A view is for one consumer. With several, the worst that happens is that they get fresh snapshots.
                val pulling = List(4) {
                    async(Dispatchers.Default) { while (cancellable { view.next(it) } != null) Unit }
                }
                List(200) { number ->
                    async(Dispatchers.Default) {
                        hers.sendText("$number")
                        hers.history()
                        ada.threads()
                    }
                }.awaitAll()
                pulling.forEach { pull ->
                    assertTrue(pull.isActive)
                    pull.cancelAndJoin()
                }
                assertEquals(List(200) { "$it" }.toSet(), hers.texts().toSet())
                view.close()
                hers.close()
            }
        }
    }

    /** The memory of this process in kB. */
    private fun resident(): Long = status("VmRSS")

    private fun threadCount(): Long = status("Threads")

    private fun status(name: String): Long {
        val line = File("/proc/self/status").readLines().first { it.startsWith("$name:") }
        return line.filter { it.isDigit() }.toLong()
    }
}
