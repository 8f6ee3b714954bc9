package io.github.sealpost

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Calls, and notifications. */
class CallsTest {
    /** Everything that happens in the calls of this client, from now on. */
    private fun CoroutineScope.calls(client: Client): Channel<CallEvent> {
        val events = Channel<CallEvent>(Channel.UNLIMITED)
        launch(start = CoroutineStart.UNDISPATCHED) { client.calls().collect { events.send(it) } }
        return events
    }

    @Test
    fun `two people agree on a call and on its keys`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    ben.directThread(ada.userId()).use { his ->
                        hers.sendText("hello")
                        his.shows { it.text == "hello" }
                        his.sendText("hi")
                        hers.shows { it.text == "hi" }
                        val (atAda, atBen) = calls(ada) to calls(ben)
                        val call = hers.call("offer".toByteArray(), isVideo = true)
                        val offer = CallEvent(his.id(), ada.userId(), call, CallSignal.Offer("offer".toByteArray(), true))
                        assertEquals(offer, atBen.receive())
                        // Who looks only now sees that it rings.
                        assertEquals(offer, ben.subscribeCalls().use { it.next() }?.single())
                        thrownBy<SealpostException.WrongState> { his.call("offer".toByteArray()) }
                        val keys = his.answerCall(call, "answer".toByteArray())
                        val answer = atAda.receive().signal as CallSignal.Answer
                        assertEquals(CallKeys(keys.receiving, keys.sending), answer.keys)
                        assertEquals("answer", answer.description.decodeToString())
                        assertEquals(32 to 14, keys.sending.key.size to keys.sending.salt.size)
                        assertNotEquals(keys.sending, keys.receiving)
                        assertEquals("Answer(..)", "$answer")
                        assertEquals("CallKeys(sending=SrtpKey(..), receiving=SrtpKey(..))", "$keys")
                        keys.wipe()
                        assertArrayEquals(ByteArray(32), keys.receiving.key)
                        assertArrayEquals(ByteArray(14), keys.sending.salt)
                        hers.sendCallCandidates(call, "candidates".toByteArray())
                        assertEquals(CallSignal.Candidates("candidates".toByteArray()), atBen.receive().signal)
                        his.hangUp(call)
                        assertEquals(CallSignal.Ended(CallEnd.HUNG_UP), atAda.receive().signal)
                        thrownBy<SealpostException.NotFound> { hers.hangUp(call) }
                        val second = his.call("offer".toByteArray())
                        assertEquals(second, atAda.receive().call)
                        hers.refuseCallAsBusy(second)
                        assertEquals(CallSignal.Ended(CallEnd.BUSY), atBen.receive().signal)
                        assertEquals("call", thrownBy<SealpostException.InvalidArgument> { hers.hangUp("nothing") }.argument)
                    }
                }
            }
        }
    }

    @Test
    fun `a message is notified once, and taken back when it was read`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    ben.directThread(ada.userId()).use { his ->
                        val sent = his.sendText("hello")
                        ada.subscribeNotices().use { view ->
                            val first = checkNotNull(view.next()).single()
                            assertEquals("hello", (first.action as NoticeAction.Show).message.text)
                            assertEquals(hers.id(), first.thread)
                            assertEquals(listOf(first), view.next(), "it was not confirmed")
                            view.confirm()
                            his.edit(sent.id, "hello!")
                            val second = checkNotNull(view.next()).single()
                            assertEquals("hello!", (second.action as NoticeAction.Update).message.text)
                            view.confirm()
                            hers.markRead(first.message)
                            assertEquals(listOf(Notice(hers.id(), first.message, NoticeAction.Withdraw)), view.next())
                            view.confirm()
                        }
                    }
                }
            }
        }
    }

    @Test
    fun `names of others are also given as they can be shown`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                val name = "Ada\u202e  \u200bLovelace\n"
                ada.setProfile(Profile(name, "busy"))
                assertEquals("Ada Lovelace", ada.profile().displayableName)
                ada.directThread(ben.userId()).use { it.sendText("hello") }
                val profile = eventually { ben.profiles(listOf(ada.userId()))[ada.userId()] }
                assertEquals(Profile(name, "busy", displayableName = "Ada Lovelace"), profile)
                assertTrue(ben.threads().single().displayableName == "Ada Lovelace" && displayableName(name) == "Ada Lovelace")
            }
        }
    }
}
