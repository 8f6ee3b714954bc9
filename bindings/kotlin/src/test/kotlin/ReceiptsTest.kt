package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What people learn of the messages that they have sent. */
class ReceiptsTest {
    /** The states of our messages, the oldest first. */
    private suspend fun Thread.states(): List<Delivery> =
        history().messages.reversed().mapNotNull { (it.direction as? Direction.Outgoing)?.delivery }

    private suspend fun Thread.statesBecome(vararg expected: Delivery) = eventually { Unit.takeIf { states() == expected.toList() } }

    @Test
    fun `one receipt confirms a backlog, and one that it was read`() = world { world ->
        val lines = 50
        world.person("ada") { ada ->
            // The relay keeps a backlog only for somebody who has accepted the thread.
            val ben = world.person("ben") { ben -> ben.userId().also { ben.directThread(ada.userId()).close() } }
            ada.directThread(ben).use { hers ->
                val sent = List(lines) { hers.sendText("line $it").id }
                hers.statesBecome(*Array(lines) { Delivery.Sent })
                world.person("ben") { client ->
                    client.directThread(ada.userId()).use { his ->
                        hers.statesBecome(*Array(lines) { Delivery.Delivered })
                        // Each receipt has its own time. There is more than one only if the backlog came in parts, more than two seconds apart.
                        val delivered = sent.mapTo(HashSet()) { checkNotNull(hers.details(it).deliveredMs) }
                        assertTrue(delivered.size < lines / 5, "$delivered")
                        his.markRead(his.shows { it.text == "line ${lines - 1}" }.id)
                        hers.statesBecome(*Array(lines) { Delivery.Read })
                        assertEquals(1, sent.mapTo(HashSet()) { checkNotNull(hers.details(it).readMs) }.size)
                    }
                }
            }
        }
    }

    @Test
    fun `what came or was read while receipts were off is not told later`() = twoPeople {
        his.setPrivacy(PrivacySetting.DELIVERY_RECEIPTS, false)
        ben.setPrivacy(PrivacySetting.READ_RECEIPTS, false)
        hers.sendText("one")
        his.markRead(his.shows { it.text == "one" }.id)
        his.setPrivacy(PrivacySetting.DELIVERY_RECEIPTS, true)
        hers.sendText("two")
        hers.statesBecome(Delivery.Sent, Delivery.Delivered)
        ben.setPrivacy(PrivacySetting.READ_RECEIPTS, true)
        his.markRead(his.shows { it.text == "two" }.id)
        hers.statesBecome(Delivery.Sent, Delivery.Read)
    }

    @Test
    fun `a number that another message had is told`() = world { world ->
        world.person("ben") { ben ->
            val thread = world.person("ada") { ada ->
                ada.directThread(ben.userId()).use { hers ->
                    hers.sendText("one")
                    hers.statesBecome(Delivery.Delivered)
                    hers.id()
                }
            }
            // As if her database had been restored from a copy, and nothing had noticed it.
            world.sql("ada", "UPDATE thread SET counted = 0")
            ben.subscribe().use { view ->
                view.snapshot()
                world.person("ada") { ada ->
                    ada.thread(thread).use { hers ->
                        hers.sendText("two")
                        eventually { Unit.takeIf { hers.history().messages.all { it.isSent } } }
                    }
                }
                val contradicted = Update.Event(Event.OrderContradicted(thread))
                while (contradicted !in checkNotNull(view.next())) Unit
            }
        }
    }

    @Test
    fun `a message that nobody fetches for 30 days expires`() = world { world ->
        val ben = world.person("ben") { it.userId() }
        val thread = world.person("ada") { ada ->
            ada.directThread(ben).use { hers ->
                hers.sendText("not fetched")
                hers.statesBecome(Delivery.Sent)
                hers.id()
            }
        }
        // As if all of this had happened 31 days earlier.
        world.sql("ada", "UPDATE message SET sent = sent - 2678400000, stored = stored - 2678400000")
        world.person("ada") { ada ->
            ada.thread(thread).use { hers ->
                hers.statesBecome(Delivery.Expired)
                hers.sendText("later")
                hers.statesBecome(Delivery.Expired, Delivery.Sent)
                // It was still at the relay, whose clock has not moved. A receipt says that it arrived nevertheless.
                world.person("ben") { hers.statesBecome(Delivery.Delivered, Delivery.Delivered) }
            }
        }
    }
}
