package io.github.sealpost

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class CancellationTest {
    @Test
    fun `a cancelled coroutine stops waiting, and loses nothing`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    hers.subscribe().use { view ->
                        view.snapshot()
                        val waiting = launch(start = CoroutineStart.UNDISPATCHED) { cancellable { view.next(it) } }
                        waiting.cancelAndJoin()
                        hers.sendText("still there")
                        val next = checkNotNull(view.next())
                        assertTrue(next.any { it is Change.Added && it.message.text == "still there" }, "$next")
                    }
                }
            }
        }
    }

    @Test
    fun `a result that is available is not discarded`() = runBlocking {
        var answer: String? = null
        launch {
            answer = cancellable {
                this@launch.coroutineContext.job.cancel()
                "here"
            }
        }.join()
        assertEquals("here", answer)
    }

    @Test
    fun `a cancelled fetch for a push notification returns what it has received`() = world { world ->
        world.person("ada") { it.userId() }
        world.relay.freeze()
        var fetched: Fetched? = null
        val fetching = launch(start = CoroutineStart.UNDISPATCHED) {
            fetched = fetchForPush(world.database("ada"), key("ada"), world.relay.url, UInt.MAX_VALUE)
        }
        fetching.cancelAndJoin()
        assertEquals(Fetched(emptyList(), complete = false), fetched)
    }

    @Test
    fun `a closed token is refused before the library is called`() = world { world ->
        world.person("ben") { ben ->
            val closed = CancelToken().apply { close() }
            val ada = world.open("ada")
            thrownBy<SealpostException.Misuse> { ada.directThread(ben.userId(), closed) }
            thrownBy<SealpostException.Misuse> { fetchForPush(world.database("new"), key("new"), world.relay.url, cancel = closed) }
            ada.close()
            // No reference to the client is left, so its file is closed.
            eventually { runCatching { world.open("ada") }.getOrNull() }.useAndShutDown { }
        }
    }

    @Test
    fun `if a block fails, its exception is thrown, not that of the shutdown after it`() = world { world ->
        val ada = world.open("ada")
        val told = runCatching {
            ada.useAndShutDown {
                it.shutdown()
                it.close()
                error("first")
            }
        }
        assertEquals("first", told.exceptionOrNull()?.message)
        assertTrue(told.exceptionOrNull()?.suppressed.orEmpty().single() is SealpostException.Misuse)
    }
}
