package io.github.sealpost

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Several devices of an account. */
class DevicesTest {
    /** The database of a new device. */
    private suspend fun World.new(name: String): Registration =
        (openAccount(database(name), key(name), relay.url, Config(acceptAllRequests = true)) as Opened.Unregistered).registration

    private suspend fun World.openLinked(name: String): Client =
        (openAccount(database(name), key(name), relay.url) as Opened.Ready).client

    /** Links a new device to the account of [primary]. Both show the same digits. */
    private suspend fun World.link(primary: Client, name: String, history: SharedHistory = SharedHistory.Nothing): Client = coroutineScope {
        val code = CompletableDeferred<String>()
        val digits = CompletableDeferred<String>()
        val linked = async {
            val config = Config(acceptAllRequests = true)
            linkClient(database(name), key(name), relay.url, name, config, { code.complete(it) }, { digits.complete(it) })
        }
        primary.link(code.await()).use { pending ->
            assertEquals(digits.await() to name, pending.digits() to pending.name())
            pending.confirm(pending.name(), history)
        }
        linked.await()
    }

    /** A view of what happens from now on. */
    private suspend fun <R> Client.watched(block: suspend (Feed) -> R): R = subscribe().use { feed ->
        feed.snapshot()
        block(feed)
    }

    /** The events until one is like this, which is the last. */
    private suspend fun Feed.until(such: (Event) -> Boolean): List<Event> {
        val events = mutableListOf<Event>()
        while (true) {
            for (update in checkNotNull(next())) {
                val event = (update as? Update.Event)?.event ?: continue
                events += event
                if (such(event)) return events
            }
        }
    }

    private fun List<Event>.progress() = filterIsInstance<Event.LinkProgress>().map { it.progress }

    private fun isDone(event: Event) = event is Event.LinkProgress && event.progress.isDone

    @Test
    fun `a companion gets what was there before, and messages are on all devices`() = twoPeople {
        greet()
        ben.watched { atBen ->
            ada.watched { atAda ->
                world.link(ada, "tablet", SharedHistory.Everything).useAndShutDown { tablet ->
                    assertEquals(listOf(ada.userId(), 2u, 1u), listOf(tablet.userId(), tablet.deviceId(), ada.deviceId()))
                    tablet.watched { atTablet ->
                        // It may have come before the view was there.
                        if (tablet.linkProgress().isNotEmpty()) assertEquals(2u, atTablet.until(::isDone).progress().last().device)
                        assertEquals(emptyList<LinkProgress>(), tablet.linkProgress())
                    }
                    val told = atAda.until(::isDone)
                    assertTrue(Event.DeviceLinked(2u) in told, "$told")
                    assertEquals(LinkProgress(2u, 2uL, 2uL, true), told.progress().last())
                    // Until the companion has said that it has everything.
                    eventually { Unit.takeIf { ada.linkProgress().isEmpty() } }
                    tablet.thread(hers.id()).use { onTablet ->
                        assertEquals(listOf("hello", "hi"), onTablet.textsWhen(2))
                        hers.sendText("from the phone")
                        assertTrue(onTablet.shows { it.text == "from the phone" }.isSent)
                        onTablet.sendText("from the tablet")
                        assertTrue(hers.shows { it.text == "from the tablet" }.isSent)
                        his.shows { it.text == "from the tablet" }
                        his.sendText("to both")
                        for (thread in listOf(hers, onTablet)) thread.shows { it.text == "to both" && it.direction is Direction.Incoming }
                        val all = listOf("hello", "hi", "from the phone", "from the tablet", "to both")
                        assertEquals(listOf(all, all, all), listOf(hers, onTablet, his).map { it.texts() })
                    }
                }
                atBen.until { it == Event.DevicesChanged(ada.userId()) }
            }
        }
    }

    @Test
    fun `devices are listed and named, and one that is removed is told`() = world { world ->
        world.person("ada") { ada ->
            world.link(ada, "tablet").useAndShutDown { tablet ->
                tablet.watched { atTablet ->
                    ada.renameDevice(1u, "phone")
                    ada.renameDevice(2u, "kitchen")
                    atTablet.until { it == Event.DeviceRenamed(2u) }
                    eventually { Unit.takeIf { tablet.devices().map { it.name } == listOf("phone", "kitchen") } }
                }
                assertEquals(
                    listOf(OwnDevice(1u, "phone", isPrimary = true, isThis = true), OwnDevice(2u, "kitchen")),
                    ada.devices().map { it.copy(addedMs = 0) },
                )
                assertEquals("OwnDevice(2, ..)", "${ada.devices()[1]}")
                assertTrue(ada.devices().all { it.addedMs > 1_600_000_000_000 })
                assertTrue(tablet.devices()[1].isThis)
                thrownBy<SealpostException.NotFound> { ada.renameDevice(3u, "nothing") }
                assertEquals("device", thrownBy<SealpostException.InvalidArgument> { ada.renameDevice(0u, "nothing") }.argument)
                assertEquals(LinkFailure.NAME, thrownBy<SealpostException.Link> { ada.renameDevice(2u, " ") }.reason)
                for (call in listOf<suspend () -> Unit>({ tablet.removeDevice(1u) }, { ada.removeDevice(1u) }, { tablet.deleteAccount(History.KEEP) })) {
                    assertEquals(LinkFailure.NOT_PRIMARY, thrownBy<SealpostException.Link> { call() }.reason)
                }
                ada.watched { atAda ->
                    ada.removeDevice(2u)
                    atAda.until { it == Event.DeviceUnlinked(2u) }
                }
                assertEquals(listOf<DeviceId>(1u), ada.devices().map { it.id })
                eventually { Unit.takeIf { tablet.connectionState() == ConnectionState.SIGNED_OUT } }
                val told = thrownBy<SealpostException.Unlinked> { tablet.directThread("00000000-0000-4000-8000-000000000000") }
                assertEquals("unlinked" to false, told.code() to told.retryable())
                assertEquals(2, tablet.devices().size, "what it has can be read")
            }
            thrownBy<SealpostException.Unlinked> { fetchForPush(world.database("tablet"), key("tablet"), world.relay.url) }
            // It is told again after a restart.
            world.openLinked("tablet").useAndShutDown { tablet ->
                eventually { Unit.takeIf { tablet.connectionState() == ConnectionState.SIGNED_OUT } }
                thrownBy<SealpostException.Unlinked> { tablet.directThread("00000000-0000-4000-8000-000000000000") }
            }
        }
    }

    @Test
    fun `the account is moved to a companion, and contacts are told`() = twoPeople {
        greet()
        ben.watched { atBen ->
            world.link(ada, "tablet").useAndShutDown { tablet ->
                eventually { Unit.takeIf { ada.linkProgress().isEmpty() } }
                assertEquals(LinkFailure.NOT_PRIMARY, thrownBy<SealpostException.Link> { tablet.moveAccount(1u) }.reason)
                thrownBy<SealpostException.NotFound> { ada.moveAccount(3u) }
                tablet.watched { atTablet ->
                    ada.moveAccount(2u)
                    atTablet.until { it == Event.AccountMoved(ada.userId()) }
                }
                for (device in listOf(ada, tablet)) {
                    eventually { Unit.takeIf { device.devices().map { it.isPrimary } == listOf(false, true) } }
                }
                assertEquals(null, ada.pendingMove())
                assertEquals(LinkFailure.NOT_PRIMARY, thrownBy<SealpostException.Link> { ada.cancelMove() }.reason)
                hers.sendText("from the old phone")
                his.shows { it.text == "from the old phone" }
                atBen.until { it == Event.AccountMoved(ada.userId()) }
            }
        }
    }

    @Test
    fun `a companion leaves the account`() = world { world ->
        world.person("ada") { ada ->
            world.link(ada, "tablet").useAndShutDown { tablet ->
                assertEquals(Departure.COMPLETE, tablet.logOut(History.KEEP))
                // The primary device learns it with its next connection.
                ada.suspend()
                ada.resume()
                eventually { Unit.takeIf { ada.devices().map { it.id } == listOf<DeviceId>(1u) } }
                thrownBy<SealpostException.Unauthorized> { tablet.devices() }
            }
        }
    }

    @Test
    fun `a code that is old, cut, damaged or of another version is refused`() = world { world ->
        world.person("ada") { ada ->
            world.new("tablet").use { registration ->
                assertEquals(LinkFailure.NAME, thrownBy<SealpostException.Link> { registration.link(" ") }.reason)
                registration.link("tablet").use { linking ->
                    val code = linking.code()
                    assertTrue(Regex("SEALPOST:[A-Z2-7]+").matches(code), "for the alphanumeric mode of QR codes")
                    // The version is in the bits of the characters 4 to 6; its last two are the first of the last one.
                    val digit = "SEALPOST:".length + 6
                    val letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
                    val later = code.replaceRange(digit, digit + 1, "${letters[letters.indexOf(code[digit]) xor 0b11000]}")
                    val damaged = code.replaceRange(100, 101, if (code[100] == 'A') "B" else "A")
                    val bad = mapOf(
                        "https://example.org/" to CodeError.NOT_A_CODE, code.take(100) to CodeError.CUT,
                        later to CodeError.OTHER_VERSION, damaged to CodeError.DAMAGED,
                    )
                    for ((text, reason) in bad) assertEquals(reason, thrownBy<SealpostException.InvalidCode> { ada.link(text) }.reason)
                    // The relay forgets links when it is restarted, as if they were too old.
                    world.relay.kill()
                    world.relay.start()
                    eventually { Unit.takeIf { ada.connectionState() == ConnectionState.LIVE } }
                    assertEquals(LinkFailure.EXPIRED, thrownBy<SealpostException.Link> { ada.link(" ${code.lowercase()}\n") }.reason)
                    for (call in listOf<suspend () -> Any>({ linking.digits() }, { linking.finish() })) {
                        val told = thrownBy<SealpostException.Link> { call() }
                        assertEquals(Triple(LinkFailure.EXPIRED, "link.expired", false), Triple(told.reason, told.code(), told.retryable()))
                    }
                }
            }
        }
    }

    @Test
    fun `a link is refused or cancelled, and another one works`() = twoPeople {
        world.new("tablet").use { registration ->
            registration.link("tablet").use { linking ->
                val digits = async { linking.digits() }
                ada.link(linking.code()).use { pending ->
                    assertEquals(digits.await(), pending.digits())
                    assertEquals(LinkFailure.TAKEN, thrownBy<SealpostException.Link> { ben.link(linking.code()) }.reason)
                    pending.cancel()
                    assertEquals(LinkFailure.REFUSED, thrownBy<SealpostException.Link> { linking.finish() }.reason)
                    assertEquals(LinkFailure.EXPIRED, thrownBy<SealpostException.Link> { pending.confirm("tablet", SharedHistory.Nothing) }.reason)
                }
            }
            registration.link("tablet").use { linking ->
                linking.cancel()
                assertEquals(LinkFailure.EXPIRED, thrownBy<SealpostException.Link> { linking.digits() }.reason)
            }
            registration.link("tablet").use { linking ->
                val finished = async { linking.finish() }
                ada.link(linking.code()).use { pending ->
                    val device = pending.confirm("tablet", SharedHistory.LastDays(30u))
                    assertEquals(device, pending.confirm("another name", SharedHistory.Nothing), "the first one counts")
                    thrownBy<SealpostException.WrongState> { pending.cancel() }
                    finished.await().useAndShutDown { tablet ->
                        linking.finish().use { again -> assertEquals(device, again.deviceId()) }
                        thrownBy<SealpostException.WrongState> { linking.cancel() }
                        assertEquals(device to "tablet", tablet.deviceId() to ada.devices()[1].name)
                        assertEquals(LinkFailure.ALREADY_LINKED, thrownBy<SealpostException.Link> { ada.link(linking.code()) }.reason)
                    }
                }
            }
        }
    }

    @Test
    fun `a link that is waited for can be cancelled and continued`() = world { world ->
        world.person("ada") { ada ->
            val codes = mutableListOf<String>()
            repeat(2) {
                val shown = CompletableDeferred<Unit>()
                val showing = launch {
                    linkClient(
                        world.database("tablet"), key("tablet"), world.relay.url, "tablet",
                        showCode = { codes += it; shown.complete(Unit) }, showDigits = { error("nobody has read the code") },
                    )
                }
                shown.await()
                showing.cancelAndJoin()
            }
            assertEquals(codes[0], codes[1])
            world.new("tablet").use { registration ->
                registration.link("tablet").use { linking ->
                    assertEquals(codes[0], linking.code())
                    val reading = launch { cancellable { ada.link(linking.code(), it) } }
                    reading.cancelAndJoin()
                    val confirming = launch { cancellable { linking.finish(it) } }
                    val pending = ada.link(linking.code())
                    confirming.cancelAndJoin()
                    assertFalse(ada.devices().size > 1)
                    pending.use { it.confirm("tablet", SharedHistory.Nothing) }
                    linking.finish().useAndShutDown { tablet -> assertEquals(2u, tablet.deviceId()) }
                }
            }
        }
    }
}
