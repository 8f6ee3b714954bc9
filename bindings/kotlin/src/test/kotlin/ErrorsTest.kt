package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

private const val NOBODY = "00000000-0000-4000-8000-000000000000"

class ErrorsTest {
    @Test
    fun `each error has its own type`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { thread ->
                    val long = mistake<SealpostException.TooLong>("too_long") { thread.sendText("x".repeat(10_000_000)) }
                    assertEquals("x".repeat(long.maxBytes.toInt()), thread.sendText("x".repeat(long.maxBytes.toInt())).text)
                    mistake<SealpostException.EmptyText>("empty_text") { thread.sendText("") }
                    mistake<SealpostException.NotFound>("not_found") { thread.retry(4711) }
                    val sent = thread.sendText("this one did not fail")
                    mistake<SealpostException.WrongState>("wrong_state") { thread.retry(sent.id) }
                    thread.subscribe().use { view ->
                        view.snapshot()
                        CancelToken().use { token ->
                            token.cancel()
                            // What has changed since then is not discarded.
                            mistake<SealpostException.Cancelled>("cancelled") { while (true) view.next(token) }
                        }
                    }
                }
            }
            mistake<SealpostException.NotFound>("not_found") { ada.directThread(NOBODY) }
            mistake<SealpostException.Misuse>("misuse") { ada.directThread(ada.userId()) }
            val wrong = mistake<SealpostException.InvalidArgument>("invalid_argument") { ada.directThread("nobody") }
            assertEquals("user", wrong.argument)
            ada.suspend()
            mistake<SealpostException.Misuse>("misuse") { ada.threads() }
            ada.shutdown()
            mistake<SealpostException.Misuse>("misuse") { ada.resume() }
        }
        val key = mistake<SealpostException.InvalidArgument>("invalid_argument") { openClient(world.database("ada"), ByteArray(31), world.relay.url) }
        assertEquals("key", key.argument)
        mistake<SealpostException.Misuse>("misuse") { openClient(world.database("other"), key("other"), "ftp://relay") }
        mistake<SealpostException.Unauthorized>("unauthorized") { fetchForPush(world.database("new"), key("new"), world.relay.url) }
        world.person("ada") { ada ->
            world.relay.forget()
            mistake<SealpostException.UnknownDevice>("unknown_device") { ada.directThread(NOBODY) }
        }
    }

    /** Calls an app's mistake, which is not retryable. */
    private suspend inline fun <reified E : SealpostException> mistake(code: String, crossinline call: suspend () -> Unit): E {
        val told = thrownBy<E> { call() }
        assertEquals(code to false, told.code() to told.retryable())
        return told
    }

    @Test
    fun `every error has a code that never changes`() {
        val codes = OfflineReason.entries.map { SealpostException.Offline(it) } +
            StorageReason.entries.map { SealpostException.Storage(it) } +
            SealpostException.Unauthorized() + SealpostException.UnknownDevice() + SealpostException.Unlinked() +
            LinkFailure.entries.map { SealpostException.Link(it) } + CodeError.entries.map { SealpostException.InvalidCode(it) } +
            SealpostException.NotFound() +
            SealpostException.RecipientDeleted() + SealpostException.WrongState() + SealpostException.EmptyText() + SealpostException.TooLong(1u) +
            InvalidContentReason.entries.map { SealpostException.InvalidContent(it) } +
            SealpostException.InvalidArgument("user") + SealpostException.Cancelled() +
            SealpostException.Misuse("twice") + SealpostException.Bug("here")
        assertEquals(
            listOf(
                "offline.unreachable", "offline.timed_out", "offline.busy", "offline.not_a_relay", "offline.refused",
                "offline.untrusted", "storage.wrong_key", "storage.corrupt", "storage.newer",
                "storage.no_folder", "storage.not_a_file", "storage.read_only", "storage.full", "storage.in_use",
                "storage.io", "unauthorized", "unknown_device", "unlinked", "link.expired", "link.taken", "link.not_authentic",
                "link.refused", "link.already_linked", "link.not_primary", "link.too_many_devices", "link.device_ids_used_up",
                "link.name", "link.busy", "link.other", "invalid_code.not_a_code", "invalid_code.other_version", "invalid_code.cut",
                "invalid_code.damaged", "not_found", "recipient_deleted", "wrong_state", "empty_text",
                "too_long", "invalid_content.contact_card", "invalid_content.location", "invalid_content.poll",
                "invalid_content.choices", "invalid_content.too_many_pinned", "invalid_content.timer",
                "invalid_content.markup", "invalid_content.profile", "invalid_content.other", "invalid_argument", "cancelled", "misuse", "bug",
            ),
            codes.map { it.code() },
        )
        assertEquals(
            listOf(
                "offline.unreachable", "offline.timed_out", "offline.busy", "offline.not_a_relay", "offline.untrusted",
                "storage.full", "storage.in_use", "link.busy",
            ),
            codes.filter { it.retryable() }.map { it.code() },
        )
        assertEquals("a bug in the library: here", SealpostException.Bug("here").toString())
    }

    @Test
    fun `a closed object throws`() = world { world ->
        val ada = world.open("ada")
        ada.shutdown()
        ada.close()
        ada.close()
        thrownBy<SealpostException.Misuse> { ada.userId() }
        thrownBy<SealpostException.Misuse> { ada.threads() }
    }
}
