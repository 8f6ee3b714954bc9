package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What people send, and what they do to messages. Everything that a chat shows of it comes with the page. */
class ContentsTest {
    @Test
    fun `replies and forwards say where they come from`() = talk { _, hers, his ->
        val first = hers.sendText("are you coming?")
        val asked = his.shows { it.text == "are you coming?" }
        val reply = his.reply(asked.id, "in an hour")
        assertEquals(Quote(asked.sender, "are you coming?", asked.id), reply.quote)
        val answered = hers.shows { it.text == "in an hour" }
        assertEquals(Quote(first.sender, "are you coming?", first.id), answered.quote)
        assertTrue(hers.historyAround(checkNotNull(answered.quote?.message)).messages.any { it.id == first.id })
        assertTrue(hers.forward(answered.id).isForwarded)
        val forwarded = his.shows { it.isForwarded }
        assertEquals("in an hour" to null, forwarded.text to forwarded.quote)
        assertFalse(asked.isForwarded)
    }

    @Test
    fun `reactions come with the page, and can be replaced, removed and listed`() = talk { people, hers, his ->
        val liked = hers.sendText("done!")
        val message = his.shows { it.text == "done!" }
        his.react(message.id, "👍")
        assertEquals(listOf(ReactionCount("👍", isOurs = true)), his.history().messages.single().reactions)
        hers.shows { it.reactions == listOf(ReactionCount("👍")) }
        hers.react(liked.id, "👍🏽")
        his.react(message.id, "👍🏽")
        val seen = hers.shows { message -> message.reactions.singleOrNull()?.count == 2u }
        assertEquals(listOf(ReactionCount("👍🏽", 2u, isOurs = true)), seen.reactions)
        assertEquals(people.sorted(), hers.reactions(liked.id).map { it.author })
        assertEquals(people.sorted().drop(1), hers.reactions(liked.id, after = people.min()).map { it.author })
        his.removeReaction(message.id)
        hers.shows { it.reactions == listOf(ReactionCount("👍🏽", isOurs = true)) }
        thrownBy<SealpostException.Misuse> { his.react(message.id, "not an emoji") }
    }

    @Test
    fun `an edited message keeps its versions`() = talk { _, hers, his ->
        val sent = hers.sendText("first")
        his.shows { it.text == "first" }
        assertEquals(null, sent.editedMs)
        hers.edit(sent.id, "second")
        val edited = his.shows { it.text == "second" }
        assertTrue(checkNotNull(edited.editedMs) >= edited.sentMs)
        assertEquals(listOf("first", "second"), his.versions(edited.id).map { it.text })
        thrownBy<SealpostException.WrongState> { his.edit(edited.id, "not mine") }
    }

    @Test
    fun `messages are deleted for everyone or for me, and the latter is taken back`() = talk { _, hers, his ->
        val sent = hers.sendText("a secret")
        val received = his.shows { it.text == "a secret" }
        his.deleteForMe(received.id)
        assertEquals(emptyList<Message>(), his.history().messages)
        his.restore(received.id)
        assertEquals("a secret", his.history().messages.single().text)
        thrownBy<SealpostException.NotFound> { his.restore(received.id) }
        thrownBy<SealpostException.WrongState> { his.deleteForEveryone(received.id) }
        hers.deleteForEveryone(sent.id)
        assertEquals(MessageBody.Deleted, his.shows { it.body is MessageBody.Deleted }.body)
    }

    @Test
    fun `contact cards, locations and polls are sent, and votes are counted`() = talk { people, hers, his ->
        val card = ContactCard("Cyd", user = people[0], phone = "+1 555 0100")
        hers.sendContact(card)
        his.shows { it.body == MessageBody.Contact(card) }
        val place = Location(-337_568_000, 1_511_540_000, accuracyM = 25u)
        hers.sendLocation(place)
        his.shows { it.body == MessageBody.Location(place) }
        val poll = hers.sendPoll("When?", listOf("today", "tomorrow"))
        val asked = his.shows { it.body is MessageBody.Poll }
        his.vote(asked.id, listOf(1u))
        hers.vote(poll.id, listOf(1u))
        val counted = Poll("When?", listOf(PollOption("today"), PollOption("tomorrow", 2u, isOurs = true)), voters = 2u)
        hers.shows { it.body == MessageBody.Poll(counted) }
        assertEquals(people.sorted(), hers.votes(poll.id).map { it.author })
        assertEquals(listOf(1u), hers.votes(poll.id, limit = 1u).single().choices)
        val both = hers.sendPoll("Which?", listOf("red", "blue", "green"), isMultiple = true)
        his.vote(his.shows { (it.body as? MessageBody.Poll)?.poll?.isMultiple == true }.id, listOf(0u, 2u))
        eventually { Unit.takeIf { hers.votes(both.id).singleOrNull()?.choices == listOf(0u, 2u) } }
        assertEquals("invalid_content.contact_card", thrownBy<SealpostException.InvalidContent> { hers.sendContact(ContactCard(" ")) }.code())
        assertEquals("invalid_content.location", thrownBy<SealpostException.InvalidContent> { hers.sendLocation(Location(900_000_001, 0)) }.code())
        assertEquals("invalid_content.poll", thrownBy<SealpostException.InvalidContent> { hers.sendPoll("When?", listOf("never")) }.code())
        assertEquals("invalid_content.choices", thrownBy<SealpostException.InvalidContent> { hers.vote(poll.id, listOf(2u)) }.code())
    }

    @Test
    fun `messages are pinned for everybody, and disappear after they were read`() = talk { _, hers, his ->
        val sent = hers.sendText("read me first")
        val received = his.shows { it.text == "read me first" }
        his.pin(received.id)
        assertEquals(listOf(sent.id), eventually { hers.pinned().takeIf { it.isNotEmpty() } }.map { it.id })
        hers.unpin(sent.id)
        eventually { Unit.takeIf { his.pinned().isEmpty() } }
        hers.setTimer(1u)
        assertEquals(1u, hers.timer())
        his.shows { it.body == MessageBody.TimerChanged(1u) }
        hers.sendText("gone in a second")
        val short = his.shows { it.text == "gone in a second" }
        assertEquals(1u to null, short.timerS to short.expiresMs)
        his.markRead(short.id)
        eventually { Unit.takeIf { "gone in a second" !in his.texts() } }
        eventually { Unit.takeIf { "gone in a second" !in hers.texts() } }
        assertEquals("invalid_content.timer", thrownBy<SealpostException.InvalidContent> { hers.setTimer(UInt.MAX_VALUE) }.code())
    }

    @Test
    fun `styles, mentions and link previews come with the text`() = talk { people, hers, his ->
        val text = "🎈 @ben see https://example.org"
        val name = checkNotNull(textRange(text, 3..6))
        assertEquals(TextRange(5u, 4u) to 3..6, name to name.units(text))
        assertEquals(listOf(null, null), listOf(textRange(text, 1..2), textRange(text, 3..text.length)))
        assertEquals(listOf(null, null), listOf(TextRange(1u, 4u).units(text), TextRange(5u, 99u).units(text)))
        val preview = LinkPreview("https://example.org", "Example")
        val markup = Markup(listOf(StyledRange(name, TextStyle.BOLD)), listOf(Mention(name, people[1])), preview)
        val sent = hers.sendText(text, markup)
        assertEquals(markup, his.shows { it.text == text }.markup)
        val spoiler = Markup(listOf(StyledRange(TextRange(0u, 6u), TextStyle.SPOILER)))
        hers.edit(sent.id, "secret", spoiler)
        val edited = his.shows { it.text == "secret" }
        assertEquals(spoiler, edited.markup)
        assertEquals(spoiler, his.reply(edited.id, "secret", spoiler).markup)
        assertEquals("invalid_content.markup", thrownBy<SealpostException.InvalidContent> { hers.sendText("short", spoiler) }.code())
    }

    @Test
    fun `what a later version has sent is shown as not understood`() = world { world ->
        world.person("ben") { ben ->
            world.person("ada") { ada ->
                ada.directThread(ben.userId()).use { hers ->
                    val first = hers.sendText("first")
                    eventually { Unit.takeIf { hers.history().messages.single { it.id == first.id }.isSent } }
                }
            }
            // Field 39 of a content is a kind that no version knows yet.
            world.sql(
                "ada",
                """
                INSERT INTO outgoing (lane, content_id, sent, class, body, state)
                SELECT thread_id, x'01010101010101010101010101010101', 1, 1, x'ba02012a', 1 FROM thread;
                INSERT INTO lane SELECT thread_id, 0 FROM thread WHERE true ON CONFLICT DO NOTHING;
                """,
            )
            world.person("ada") { ada ->
                ben.directThread(ada.userId()).use { his -> his.shows { it.body is MessageBody.NotUnderstood } }
            }
        }
    }

    @Test
    fun `the limits of changes are configured`() = world { world ->
        val limits = ChangeLimits(maxEdits = 1u, deleteForMs = 0u)
        world.person("ben") { ben ->
            val config = Config(acceptAllRequests = true, changeLimits = limits)
            openClient(world.database("ada"), key("ada"), world.relay.url, config = config).useAndShutDown { ada ->
                ada.directThread(ben.userId()).use { hers ->
                    val sent = hers.sendText("first")
                    eventually { Unit.takeIf { hers.history().messages.single().isSent } }
                    hers.edit(sent.id, "second")
                    thrownBy<SealpostException.WrongState> { hers.edit(sent.id, "third") }
                    thrownBy<SealpostException.WrongState> { hers.deleteForEveryone(sent.id) }
                }
            }
        }
    }

    @Test
    fun `descriptions do not contain what people write`() {
        val texts = listOf(
            MessageBody.Text(SECRET), LinkPreview(SECRET), Search(SECRET), Profile(SECRET), ContactCard(SECRET, phone = SECRET), Location(0, 0, name = SECRET), Poll(SECRET, listOf(PollOption(SECRET))),
            Quote("00000000-0000-4000-8000-000000000000", SECRET), ReactionCount(SECRET), Version(SECRET),
            Reaction("00000000-0000-4000-8000-000000000000", SECRET),
        )
        for (text in texts) assertFalse(SECRET in "$text", text.javaClass.name)
    }
}

private const val SECRET = "between us"
