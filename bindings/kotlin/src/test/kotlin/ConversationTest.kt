package io.github.sealpost

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.filter
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private val NOTHING = Page(emptyList(), older = null, newer = null)

class ConversationTest {
    @Test
    fun `a list that only follows changes equals the history`() = twoPeople {
        hers.subscribe().use { view ->
            var list = MessageList(view.snapshot())
            repeat(20) {
                hers.sendText("hers $it")
                his.sendText("his $it")
            }
            while (list.messages.size < 40 || list.messages.any { it.direction == Direction.Outgoing(Delivery.Queued) }) {
                checkNotNull(view.next()).forEach { list = list.after(it) }
            }
            // Receipts may still come in.
            eventually {
                while (true) withTimeoutOrNull(100) { cancellable { view.next(it) } }?.forEach { list = list.after(it) } ?: break
                list.messages.takeIf { it == hers.history().messages }
            }
            assertTrue(list.messages.map { it.position }.zipWithNext().all { (newer, older) -> newer > older })
            val middle = list.messages[20]
            val around = hers.historyAround(middle.id, 5u)
            assertEquals(list.messages.subList(18, 23), around.messages)
            val newer = hers.historyAfter(checkNotNull(around.newer), 3u)
            assertEquals(list.messages.subList(15, 18), newer.messages)
            val part = MessageList(around).withNewer(newer).withOlder(hers.history(around.older, 2u))
            assertEquals(list.messages.subList(15, 25), part.messages)
            assertEquals(part, part.after(Change.Changed(list.messages[0], list.messages[0].position)))
        }
    }

    @Test
    fun `two people register and write to each other`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    val sent = hers.sendText("hello")
                    assertEquals("hello", sent.text)
                    assertFalse("hello" in sent.toString(), "a description must not contain what people write")
                    assertEquals(ada.userId(), sent.sender)
                    ben.directThread(ada.userId()).use { his ->
                        assertEquals(hers.id(), his.id())
                        assertEquals(listOf(ada.userId()), his.others())
                        assertEquals(ThreadKind.DIRECT, his.kind())
                        assertEquals(listOf("hello"), his.textsWhen(1))
                        his.sendText("hello yourself")
                        assertEquals(listOf("hello", "hello yourself"), hers.textsWhen(2))
                        assertEquals(ben.safetyNumber(ada.userId()), ada.safetyNumber(ben.userId()))
                    }
                    val delivered = Direction.Outgoing(Delivery.Delivered)
                    val first = eventually { hers.history().messages.last().takeIf { it.direction == delivered } }
                    assertEquals(sent.copy(direction = delivered, position = first.position), first)
                    assertTrue(first.position < sent.position, "a queued message is below all others")
                    assertEquals(first, ada.message(sent.id))
                }
            }
        }
    }

    @Test
    fun `history is read in pages and outlives the client`() = world { world ->
        val written = (1..25).map { "line $it" }
        val thread = world.person("ben") { ben ->
            world.person("ada") { ada ->
                ada.directThread(ben.userId()).use { thread ->
                    written.forEach { thread.sendText(it) }
                    thread.id()
                }
            }
        }
        world.person("ada") { ada ->
            ada.thread(thread).use { hers ->
                // Messages move when they are sent.
                eventually { hers.history().messages.all { it.isSent }.takeIf { it } }
                val newest = hers.history(limit = 10u)
                assertEquals(written.takeLast(10).reversed(), newest.messages.map { it.text })
                val before = hers.history(newest.older, 10u)
                assertEquals(written.drop(5).take(10).reversed(), before.messages.map { it.text })
                assertEquals(written, hers.messages(pageSize = 7u).toList().map { it.text }.reversed())
            }
            assertEquals(listOf(thread), ada.threads().map { it.id })
            assertEquals("line 17", eventually { ada.search("17").singleOrNull() }.text)
        }
    }

    @Test
    fun `a client that was offline receives what it missed`() = world { world ->
        val ben = world.person("ben") { it.userId() }
        world.person("ada") { ada ->
            ada.directThread(ben).use { hers ->
                repeat(12) { hers.sendText("while you were away $it") }
                eventually { hers.history().messages.all { it.isSent }.takeIf { it } }
                world.person("ben") { his ->
                    his.directThread(ada.userId()).use { assertEquals(12, it.textsWhen(12).distinct().size) }
                }
            }
        }
    }

    @Test
    fun `a message that was written while the relay was down is sent when it returns`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    hers.sendText("before")
                    ben.directThread(ada.userId()).use { his ->
                        his.textsWhen(1)
                        world.relay.kill()
                        val queued = hers.sendText("while it is gone")
                        assertEquals(Direction.Outgoing(Delivery.Queued), hers.history().messages.first().direction)
                        val offline = hers.waits(queued.id).first { it.reason == WaitReason.NOT_CONNECTED }
                        assertEquals(null, offline.nextMs, "it is sent as soon as there is a connection")
                        assertEquals(offline, hers.waiting(queued.id))
                        // A screen gets it with the messages.
                        val behind = hers.sendText("behind it")
                        val shown = hers.shown().first { it.waiting(behind)?.reason == WaitReason.NOT_CONNECTED }
                        assertEquals(offline, shown.waiting(queued))
                        // Each page says it too, also one that does not contain the message.
                        val first = ThreadWaiting(queued.id, offline)
                        val pages = listOf(hers.history(), hers.history(limit = 1u), hers.historyAround(queued.id), hers.links())
                        assertEquals(List(4) { first }, pages.map { it.firstWaiting })
                        assertEquals(first, hers.historyAfter(shown.messages.last().position).firstWaiting)
                        assertEquals(WaitReason.NOT_CONNECTED, MessageList(pages[0]).waiting(behind)?.reason)
                        assertEquals(null, shown.waiting(shown.messages.last()), "it was sent")
                        val untilSent = async(start = CoroutineStart.UNDISPATCHED) { hers.waits(queued.id).toList() }
                        world.relay.start()
                        ada.reconnect()
                        ben.reconnect()
                        assertEquals(listOf("before", "while it is gone", "behind it"), his.textsWhen(3))
                        hers.shown().first { it.firstWaiting == null && it.messages.size == 3 }
                        val states = untilSent.await()
                        assertTrue(states.zipWithNext().all { (one, next) -> one != next }, "$states")
                        assertEquals(null, hers.waiting(queued.id) ?: hers.history().firstWaiting?.waiting)
                        assertEquals(emptyList<Waiting>(), hers.waits(queued.id).toList())
                    }
                }
            }
        }
    }

    @Test
    fun `a suspended client closes its file, and its views continue with a snapshot`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    hers.subscribe().use { view ->
                        assertEquals(NOTHING, view.snapshot())
                        ada.suspend()
                        assertEquals(ConnectionState.SUSPENDED, ada.connectionState())
                        val fetched = fetchForPush(world.database("ada"), key("ada"), world.relay.url)
                        assertEquals(Fetched(emptyList(), complete = true), fetched)
                        ada.resume()
                        hers.sendText("back")
                        val changes = mutableListOf<Change>()
                        while (changes.none { it is Change.Snapshot }) changes += checkNotNull(view.next())
                    }
                }
            }
        }
    }

    @Test
    fun `a view waits while the client is suspended, and returns a snapshot while another call waits`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    hers.subscribe().use { view ->
                        ada.suspend()
                        val waiting = async(start = CoroutineStart.UNDISPATCHED) { view.next() }
                        thrownBy<SealpostException.Misuse> { view.snapshot() }
                        ada.resume()
                        assertEquals(listOf(Change.Snapshot(NOTHING)), waiting.await())
                        val next = async(start = CoroutineStart.UNDISPATCHED) { view.next() }
                        repeat(100) { assertEquals(NOTHING, view.snapshot()) }
                        hers.sendText("something new")
                        // What it is waiting for may be told before.
                        val changes = next.await()!!.toMutableList()
                        while (changes.none { it is Change.Added }) changes += checkNotNull(view.next())
                        assertEquals("something new", changes.firstNotNullOf { it as? Change.Added }.message.text)
                    }
                }
            }
        }
    }

    @Test
    fun `registering twice returns the same client`() = world { world ->
        val opened = openAccount(world.database("ada"), key("ada"), world.relay.url) as Opened.Unregistered
        opened.registration.use { registration ->
            val (one, other) = List(2) { async { registration.register() } }.awaitAll()
            assertEquals(one.userId(), other.userId())
            one.shutdown()
            thrownBy<SealpostException.Misuse> { other.resume() }
            assertEquals(emptyList<Update>(), other.updates().toList())
            registration.register().use { again -> thrownBy<SealpostException.Misuse> { again.resume() } }
            one.close()
            other.close()
        }
    }

    @Test
    fun `a late message is delivered exactly once, wherever its position is`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                val (hers, his) = ada.directThread(ben.userId()) to ben.directThread(ada.userId())
                val arrived = Channel<String?>(Channel.UNLIMITED)
                val listening = launch { hers.arrivals().collect { arrived.send(it.text) } }
                // Repeats until somebody listens.
                while (arrived.isEmpty) hers.sendText("hello")
                hers.sendText("begin")
                while (arrived.receive() != "begin") { }
                world.relay.kill()
                val written = (1..60).map { "line $it" }.onEach { hers.sendText(it) }
                assertEquals(written, List(60) { arrived.receive() })
                ada.suspend()
                world.relay.start()
                ben.reconnect()
                // Its position is before that of every message that is still queued here.
                his.sendText("late")
                eventually { Unit.takeIf { his.history().messages.first().isSent } }
                assertEquals(1, fetchForPush(world.database("ada"), key("ada"), world.relay.url).messages.size)
                ada.resume()
                assertEquals("late", arrived.receive())
                hers.sendText("the last")
                assertEquals("the last", arrived.receive())
                listening.cancelAndJoin()
                hers.close()
                his.close()
            }
        }
    }

    @Test
    fun `a push notification fetches what is waiting`() = world { world ->
        val ben = world.person("ben") { it.userId() }
        world.person("ada") { ada ->
            ada.directThread(ben).use { hers ->
                hers.sendText("wake up")
                eventually { hers.history().messages.all { it.isSent }.takeIf { it } }
                val fetched = fetchForPush(world.database("ben"), key("ben"), world.relay.url)
                assertEquals(listOf("wake up"), fetched.messages.map { it.text })
                assertTrue(fetched.complete)
            }
        }
    }

    @Test
    fun `flows begin with a snapshot and end with the client`() = world { world ->
        world.person("ben") { ben ->
            val ada = world.open("ada")
            val events = async { ada.updates().toList() }
            // It needs its own view: a view that ends does not deliver what is still queued in it.
            val told = async { ada.updates().first { it is Update.Event && (it.event as? Event.MessageAdded)?.message?.text == "hello" } }
            ada.useAndShutDown {
                it.directThread(ben.userId()).use { hers ->
                    val changes = async { hers.changes().filter { it is Change.Snapshot || it is Change.Added }.take(2).toList() }
                    // Repeats until somebody listens.
                    while (changes.isActive || told.isActive) hers.sendText("hello")
                    assertTrue(changes.await().first() is Change.Snapshot)
                    assertTrue(changes.await().last() is Change.Added)
                }
            }
            val seen = events.await()
            assertTrue(seen.first() is Update.Snapshot)
            assertTrue(seen.any { it is Update.Event && it.event is Event.ThreadAdded })
        }
    }
}
