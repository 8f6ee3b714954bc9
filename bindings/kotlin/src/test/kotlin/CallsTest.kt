package io.github.sealpost

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.time.Duration.Companion.milliseconds

/** Calls, and notifications. */
class CallsTest {
    /** Everything that happens in the calls of this client, from now on. */
    private fun CoroutineScope.calls(client: Client): Channel<CallEvent> {
        val events = Channel<CallEvent>(Channel.UNLIMITED)
        launch(start = CoroutineStart.UNDISPATCHED) { client.calls().collect { events.send(it) } }
        return events
    }

    @Test
    fun `two people agree on a call and on its keys`() = twoPeople {
        greet()
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

    @Test
    fun `two people who call each other at the same time have one call`() = twoPeople {
        greet()
        val (atAda, atBen) = calls(ada) to calls(ben)
        suspend fun Thread.tryToCall(): CallId? = try {
            call("offer".toByteArray())
        } catch (_: SealpostException.WrongState) {
            // The call of the other one rings already.
            null
        }
        var crossed: Pair<CallId, CallId>? = null
        // More attempts in a minute would not ring.
        repeat(4) {
            if (crossed != null) return@repeat
            // So that both have called before either call arrives.
            world.relay.freeze()
            val calling = listOf(hers, his).map { async { it.tryToCall() } }
            delay(100.milliseconds)
            world.relay.thaw()
            val (first, second) = calling.awaitAll()
            if (first != null && second != null) {
                crossed = first to second
            } else {
                val (call, thread, events) =
                    if (first != null) Triple(first, hers, atBen) else Triple(checkNotNull(second), his, atAda)
                assertEquals(call, events.receive().call)
                thread.hangUp(call)
                assertEquals(CallSignal.Ended(CallEnd.HUNG_UP), events.receive().signal)
            }
        }
        val (first, second) = checkNotNull(crossed) { "the calls did not cross" }
        // The call with the smaller id remains.
        val isHers = first < second
        val (remaining, ended) = if (isHers) first to second else second to first
        val (callee, atCallee, atCaller) = if (isHers) Triple(his, atBen, atAda) else Triple(hers, atAda, atBen)
        val end = atCallee.receive()
        assertEquals(ended to CallSignal.Ended(CallEnd.CROSSED), end.call to end.signal)
        val offer = atCallee.receive()
        assertEquals(remaining to CallSignal.Offer("offer".toByteArray(), false), offer.call to offer.signal)
        val keys = callee.answerCall(remaining, "answer".toByteArray())
        val answer = atCaller.receive()
        assertEquals(remaining to CallKeys(keys.receiving, keys.sending), answer.call to (answer.signal as CallSignal.Answer).keys)
    }

    @Test
    fun `a step of a call that could not be sent is repeated, and a lost hang-up is told later`() = twoPeople {
        greet()
        val (atAda, atBen) = calls(ada) to calls(ben)
        val call = hers.call("offer".toByteArray())
        assertEquals(call, atBen.receive().call)
        world.relay.kill()
        // These do not change the state of the call, and can be repeated.
        withoutConnection { hers.sendCallCandidates(call, "candidates".toByteArray()) }
        withoutConnection { his.answerCall(call, "answer".toByteArray()) }
        restartRelay()
        val keys = his.answerCall(call, "answer".toByteArray())
        assertEquals(CallKeys(keys.receiving, keys.sending), (atAda.receive().signal as CallSignal.Answer).keys)
        thrownBy<SealpostException.NotFound> { his.answerCall(call, "answer".toByteArray()) }
        world.relay.kill()
        // This ends the call here, and the other side can be told later.
        withoutConnection { his.hangUp(call) }
        thrownBy<SealpostException.NotFound> { his.sendCallCandidates(call, "candidates".toByteArray()) }
        restartRelay()
        his.hangUp(call)
        thrownBy<SealpostException.NotFound> { his.hangUp(call) }
        val end = atAda.receive()
        assertEquals(call to CallSignal.Ended(CallEnd.HUNG_UP), end.call to end.signal)
        // She gives up while he cannot be told, and he answers.
        val second = hers.call("offer".toByteArray())
        assertEquals(second, atBen.receive().call)
        world.relay.kill()
        withoutConnection { hers.hangUp(second) }
        restartRelay()
        his.answerCall(second, "answer".toByteArray())
        val late = atBen.receive()
        assertEquals(second to CallSignal.Ended(CallEnd.HUNG_UP), late.call to late.signal)
    }

    /** Repeats a step until it fails because there is no connection any more. */
    private suspend fun withoutConnection(step: suspend () -> Unit) = eventually {
        try {
            step()
            null
        } catch (offline: SealpostException.Offline) {
            assertEquals(OfflineReason.UNREACHABLE, offline.reason)
        }
    }

    @Test
    fun `a message is notified once, and taken back when it was read`() = twoPeople {
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
