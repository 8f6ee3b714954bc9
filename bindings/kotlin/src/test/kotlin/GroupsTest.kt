package io.github.sealpost

import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.toList
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Groups: who is in them, and what they say to each other. */
class GroupsTest {
    /** Runs a test with the clients of these people. */
    private suspend fun World.people(vararg names: String, test: suspend (List<Client>) -> Unit) = people(names.toList(), emptyList(), test)

    private suspend fun World.people(names: List<String>, before: List<Client>, test: suspend (List<Client>) -> Unit): Unit =
        if (names.isEmpty()) test(before) else person(names[0]) { people(names.drop(1), before + it, test) }

    /** They write to each other, so that each becomes a member at once when the other invites them. */
    private suspend fun Client.meets(other: Client) = directThread(other.userId()).use { there ->
        other.directThread(userId()).use { back ->
            there.sendText("hello")
            back.shows { it.text == "hello" }
            back.sendText("hi")
            there.shows { it.text == "hi" }
        }
    }

    /** Runs a block with the group, once it is here. */
    private suspend fun <R> Client.inGroup(id: ThreadId, block: suspend (Group) -> R): R {
        val group = eventually {
            try {
                group(id)
            } catch (_: SealpostException.NotFound) {
                null
            }
        }
        return group.use { block(it) }
    }

    private suspend fun <R> Client.inThread(id: ThreadId, block: suspend (Thread) -> R): R =
        inGroup(id) { group -> group.thread().use { block(it) } }

    private suspend fun Group.users() = members().map { it.user }

    private suspend fun Group.admins() = members().filter { it.isAdmin }.map { it.user }

    /** Waits until these are the members for this client. */
    private suspend fun Client.seesMembers(id: ThreadId, vararg users: UserId) =
        inGroup(id) { group -> eventually { Unit.takeIf { group.users() == users.sorted() } } }

    /** What the group shows to this client, the oldest first: authors and texts. */
    private suspend fun Client.shownIn(id: ThreadId): List<Pair<UserId, String?>> =
        inThread(id) { thread -> thread.messages().toList().map { it.sender to it.text }.reversed() }

    private suspend fun Client.says(id: ThreadId, text: String): Message = inThread(id) { it.sendText(text) }

    /** The events until this one. */
    private suspend fun Feed.until(event: Event) {
        while (Update.Event(event) !in checkNotNull(next())) Unit
    }

    @Test
    fun `people are invited into a group, join it or are asked, leave and are removed`() = world { world ->
        world.people("ada", "ben", "cleo", "dee") { (ada, ben, cleo, dee) ->
            val (a, b, c, d) = listOf(ada, ben, cleo, dee).map { it.userId() }
            ada.meets(ben)
            val details = GroupDetails("Book club", "On Fridays")
            ada.createGroup(details, listOf(b, c, d)).use { hers ->
                val id = hers.id()
                // Ben talks to Ada, so he becomes a member by himself. The others are asked.
                for (one in listOf(ada, ben)) one.seesMembers(id, a, b)
                assertEquals(listOf(c, d).sorted(), hers.invited())
                assertEquals(details, hers.details())
                assertEquals("GroupDetails(..)", "${hers.details()}")
                for (one in listOf(cleo, dee)) {
                    val request = eventually { one.folderPage(Folder.REQUESTS).threads.singleOrNull() }
                    assertEquals(id to ThreadKind.GROUP, request.id to request.kind)
                    assertTrue(request.isRequest && request.others.isEmpty())
                }
                cleo.inGroup(id) { it.accept() }
                dee.inGroup(id) { it.withdraw(listOf(d)) }
                eventually { Unit.takeIf { hers.invited().isEmpty() } }
                eventually { Unit.takeIf { dee.folderPage(Folder.REQUESTS).threads.isEmpty() } }
                for (one in listOf(ada, ben, cleo)) {
                    one.seesMembers(id, a, b, c)
                    assertEquals(listOf(a), one.inGroup(id) { it.admins() })
                    val listed = one.threads().single { it.kind == ThreadKind.GROUP }
                    assertEquals(id to 3u, listed.id to listed.members)
                    one.inThread(id) { thread ->
                        assertEquals(ThreadKind.GROUP, thread.kind())
                        assertEquals((listOf(a, b, c) - one.userId()).sorted(), thread.others().sorted())
                    }
                }
                assertEquals(GroupMember(a, isAdmin = true), hers.members().single { it.user == a })

                // Only an admin removes somebody or changes roles, and the last one cannot leave.
                ben.inGroup(id) { his ->
                    thrownBy<SealpostException.WrongState> { his.remove(listOf(c)) }
                    thrownBy<SealpostException.WrongState> { his.setAdmin(b, true) }
                    thrownBy<SealpostException.WrongState> { hers.leave() }
                    assertEquals(GroupPermissions(), his.permissions())
                    hers.setDetails(GroupDetails("Reading"))
                    eventually { Unit.takeIf { hers.details() == GroupDetails("Reading") } }
                    his.setTimer(60u)
                    cleo.inGroup(id) { cleos ->
                        eventually { Unit.takeIf { cleos.timer() == 60u } }
                    }
                    val strict = GroupPermissions(membersChangeDetails = false, membersInvite = false)
                    hers.setPermissions(strict)
                    eventually { Unit.takeIf { his.permissions() == strict } }
                    thrownBy<SealpostException.WrongState> { his.setTimer(9u) }
                    thrownBy<SealpostException.WrongState> { his.invite(listOf(d)) }
                    hers.remove(listOf(c))
                    for (one in listOf(ada, ben, cleo)) one.seesMembers(id, a, b)
                    thrownBy<SealpostException.WrongState> { cleo.inGroup(id) { it.leave() } }

                    // She hands over, and leaves.
                    hers.setAdmin(b, true)
                    eventually { Unit.takeIf { his.admins() == listOf(a, b).sorted() } }
                    assertEquals(GroupDetails("Reading"), hers.details(), "under another secret")
                    hers.leave()
                    ben.seesMembers(id, b)
                    assertFalse(his.isDissolved())
                    his.dissolve()
                    eventually { Unit.takeIf { his.isDissolved() } }
                }
            }
            thrownBy<SealpostException.Misuse> { ada.createGroup(GroupDetails("x".repeat(257)), emptyList()) }
            thrownBy<SealpostException.NotFound> { ada.group(ada.noteToSelf().use { it.id() }) }
        }
    }

    @Test
    fun `four people talk while one is added and one is removed`() = world { world ->
        world.people("ada", "ben", "cleo", "dee") { (ada, ben, cleo, dee) ->
            val (a, b, c, d) = listOf(ada, ben, cleo, dee).map { it.userId() }
            for (other in listOf(ben, cleo, dee)) ada.meets(other)
            ada.createGroup(GroupDetails("Talk"), listOf(b, c)).use { hers ->
                val id = hers.id()
                for (one in listOf(ada, ben, cleo)) one.seesMembers(id, a, b, c)
                suspend fun shows(one: Client, vararg expected: Pair<UserId, String>) =
                    eventually { Unit.takeIf { one.shownIn(id) == expected.toList() } }
                ada.says(id, "one")
                for (one in listOf(ada, ben, cleo)) shows(one, a to "one")
                val second = ben.says(id, "two")
                for (one in listOf(ada, ben, cleo)) shows(one, a to "one", b to "two")

                // Who has it, by name. Cleo has read it, so it is delivered to all, and read by one.
                ben.inThread(id) { his ->
                    cleo.inThread(id) { cleos -> cleos.markRead(cleos.shows { it.text == "two" }.id) }
                    val receipts = eventually { his.receipts(second.id).takeIf { it.delivered == 2u && it.read == 1u } }
                    val expected = listOf(MemberReceipt(a, isDelivered = true), MemberReceipt(c, isDelivered = true, isRead = true))
                    assertEquals(expected.sortedBy { it.user }, receipts.members)
                    assertEquals(2u, receipts.recipients)
                    assertEquals(Direction.Outgoing(Delivery.Delivered), ben.message(second.id).direction)
                    ada.inThread(id) { thread -> thread.markRead(thread.shows { it.text == "two" }.id) }
                    eventually { Unit.takeIf { ben.message(second.id).direction == Direction.Outgoing(Delivery.Read) } }
                    thrownBy<SealpostException.NotFound> { his.receipts(his.shows { it.text == "one" }.id) }
                }

                // Dee is added, and reads nothing older.
                hers.invite(listOf(d))
                for (one in listOf(ada, ben, cleo, dee)) one.seesMembers(id, a, b, c, d)
                val text = "@all three"
                val mention = Mention(TextRange(0u, 4u), everybody())
                cleo.inThread(id) { it.sendText(text, Markup(mentions = listOf(mention))) }
                shows(dee, c to text)
                for (one in listOf(ada, ben, cleo)) shows(one, a to "one", b to "two", c to text)
                assertEquals(1u to 1u, dee.threads().single { it.id == id }.let { it.mentions to it.unread })

                // Cleo is removed, and reads nothing later.
                hers.remove(listOf(c))
                for (one in listOf(ada, ben, dee)) one.seesMembers(id, a, b, d)
                dee.says(id, "four")
                shows(ada, a to "one", b to "two", c to text, d to "four")
                ada.says(id, "five")
                shows(dee, c to text, d to "four", a to "five")
                shows(ben, a to "one", b to "two", c to text, d to "four", a to "five")
                shows(cleo, a to "one", b to "two", c to text)
            }
        }
    }

    @Test
    fun `of two admins who change a group at once both have their way`() = world { world ->
        world.people("ada", "ben") { (ada, ben) ->
            val (a, b) = listOf(ada, ben).map { it.userId() }
            ada.meets(ben)
            ada.createGroup(GroupDetails("x"), listOf(b)).use { hers ->
                for (one in listOf(ada, ben)) one.seesMembers(hers.id(), a, b)
                hers.setAdmin(b, true)
                ben.inGroup(hers.id()) { his ->
                    eventually { Unit.takeIf { his.admins().size == 2 } }
                    for (round in 1u..3u) {
                        val strict = GroupPermissions(membersInvite = round % 2u == 0u)
                        coroutineScope { listOf(async { hers.setPermissions(strict) }, async { his.setTimer(round) }).awaitAll() }
                        for (one in listOf(hers, his)) {
                            eventually { Unit.takeIf { one.permissions() == strict && one.timer() == round } }
                        }
                    }
                }
            }
        }
    }

    @Test
    fun `a change that was overtaken is told`() = world { world ->
        world.people("ada", "ben") { (ada, ben) ->
            val (a, b) = listOf(ada, ben).map { it.userId() }
            val strict = GroupPermissions(membersChangeDetails = false)
            ada.meets(ben)
            ada.createGroup(GroupDetails("x"), listOf(b)).use { hers ->
                for (one in listOf(ada, ben)) one.seesMembers(hers.id(), a, b)
                ben.inGroup(hers.id()) { his ->
                    ben.subscribe().use { events ->
                        events.snapshot()
                        while (true) {
                            ben.suspend()
                            hers.setPermissions(strict)
                            eventually { Unit.takeIf { hers.permissions() == strict } }
                            ben.resume()
                            // Allowed as far as he knows, unless he has heard of it already.
                            try {
                                his.setTimer(9u)
                                break
                            } catch (_: SealpostException.WrongState) {
                                hers.setPermissions(GroupPermissions())
                                eventually { Unit.takeIf { his.permissions() == GroupPermissions() } }
                            }
                        }
                        events.until(Event.GroupChangeFailed(hers.id()))
                    }
                    eventually { Unit.takeIf { his.permissions() == strict } }
                    assertEquals(0u, hers.timer())
                }
            }
        }
    }
}
