package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File

private const val NOBODY = "00000000-0000-4000-8000-000000000000"

class ErrorsTest {
    @Test
    fun `each mistake arrives as its own type`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { thread ->
                    val long = thrownBy<SealpostException.TooLong> { thread.sendText("x".repeat(10_000_000)) }
                    assertEquals("x".repeat(long.maxBytes.toInt()), thread.sendText("x".repeat(long.maxBytes.toInt())).text)
                    thrownBy<SealpostException.NotFound> { thread.retryMessage(4711) }
                    thread.subscribe().use { view ->
                        view.snapshot()
                        CancelToken().use { token ->
                            token.cancel()
                            thrownBy<SealpostException.Cancelled> { view.next(token) }
                        }
                    }
                }
            }
            thrownBy<SealpostException.NotFound> { ada.directThread(NOBODY) }
            thrownBy<SealpostException.Misuse> { ada.directThread(ada.userId()) }
            val wrong = thrownBy<SealpostException.InvalidArgument> { ada.directThread("nobody") }
            assertEquals("user", wrong.argument)
            ada.suspend()
            thrownBy<SealpostException.Misuse> { ada.threads() }
            ada.shutdown()
            thrownBy<SealpostException.Misuse> { ada.resume() }
        }
        val offline = thrownBy<SealpostException.Offline> { openClient(world.database("new"), key("new"), "http://127.0.0.1:1") }
        assertEquals(OfflineReason.UNREACHABLE, offline.reason)
        assertTrue(offline.retryable())
        thrownBy<SealpostException.Unauthorized> { fetchForPush(world.database("new"), key("new"), world.relay.url) }
    }

    @Test
    fun `a database says why it does not open`() = world { world ->
        suspend fun reason(name: String, key: ByteArray = key(name)): StorageReason =
            thrownBy<SealpostException.Storage> { openClient(world.database(name), key, world.relay.url) }.reason

        world.person("ada") {
            val inUse = thrownBy<SealpostException.Storage> { world.open("ada") }
            assertEquals(StorageReason.IN_USE, inUse.reason)
            assertTrue(inUse.retryable())
        }
        assertEquals(StorageReason.WRONG_KEY, reason("ada", key("not ada")))
        File(world.database("text")).writeText("this is no database, but long enough to be looked at")
        assertEquals(StorageReason.CORRUPT, reason("text"))
        assertEquals(StorageReason.READ_ONLY, reason("no/such/folder"))
        val key = thrownBy<SealpostException.InvalidArgument> { openClient(world.database("ada"), ByteArray(31), world.relay.url) }
        assertEquals("key", key.argument)
        thrownBy<SealpostException.Misuse> { openClient(world.database("other"), key("other"), "ftp://relay") }
        // Nothing of all this is in the way.
        world.person("ada") { assertTrue(it.userId().isNotEmpty()) }
    }

    @Test
    fun `every error has a code that never changes`() {
        val codes = OfflineReason.entries.map { SealpostException.Offline(it) } +
            StorageReason.entries.map { SealpostException.Storage(it) } +
            SealpostException.Unauthorized() + SealpostException.NotFound() + SealpostException.TooLong(1u) +
            SealpostException.InvalidArgument("user") + SealpostException.Cancelled() +
            SealpostException.Misuse("twice") + SealpostException.Bug("here")
        assertEquals(
            listOf(
                "offline.unreachable", "offline.timed_out", "offline.busy", "offline.not_a_relay", "offline.refused",
                "offline.untrusted", "storage.wrong_key", "storage.corrupt", "storage.newer", "storage.read_only",
                "storage.full", "storage.in_use", "storage.io", "unauthorized", "not_found", "too_long",
                "invalid_argument", "cancelled", "misuse", "bug",
            ),
            codes.map { it.code() },
        )
        assertEquals("a bug in the library: here", SealpostException.Bug("here").toString())
        assertFalse(SealpostException.Bug("here").retryable())
    }

    @Test
    fun `a closed object says so`() = world { world ->
        val ada = world.open("ada")
        ada.shutdown()
        ada.close()
        ada.close()
        thrownBy<SealpostException.Misuse> { ada.userId() }
        thrownBy<SealpostException.Misuse> { ada.threads() }
    }
}
