package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** The list of chats. Everything that it shows of a chat comes with the page. */
class ChatsTest {
    @Test
    fun `a list that only follows changes equals the page`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.followThreads(Folder.CHATS).use { view ->
                    var list = ThreadList()
                    suspend fun listWhen(shows: (List<ThreadSummary>) -> Boolean) {
                        while (!shows(list.threads) || list != ThreadList(ada.folderPage(Folder.CHATS))) {
                            checkNotNull(view.next()).forEach { list = list.after(it) }
                        }
                    }
                    ada.directThread(ben.userId()).use { hers ->
                        ben.directThread(ada.userId()).use { his ->
                            his.sendText("hello")
                            listWhen { it.firstOrNull()?.newest?.text == "hello" }
                            val received = checkNotNull(list.threads[0].newest)
                            assertEquals(UnreadTotals(1u, 1u), ada.unreadTotals())
                            hers.markRead(received.id)
                            listWhen { it[0].unread == 0u }
                            ada.verifySafetyNumber(ben.userId(), ada.safetyNumber(ben.userId()))
                            listWhen { it[0].trust == TrustState.VERIFIED }
                            hers.setDraft("perhaps")
                            assertEquals("perhaps", hers.draft())
                            hers.setMarkedUnread(true)
                            hers.setPinned(true)
                            hers.setMutedUntil(Long.MAX_VALUE)
                            listWhen { it[0].draft == "perhaps" && it[0].isMarkedUnread && it[0].isPinned && it[0].mutedUntilMs != null }
                            assertEquals(list.threads[0], hers.summary())
                            assertFalse("perhaps" in "$list", "a description must not contain what people write")
                            hers.setArchived(true)
                            listWhen { it.isEmpty() }
                            assertEquals(listOf(hers.id()), ada.folderPage(Folder.ARCHIVE).threads.map { it.id })
                            ada.setPinnedThreads(listOf(hers.id()))
                            listWhen { it.singleOrNull()?.isPinned == true }
                        }
                    }
                }
            }
        }
    }

    @Test
    fun `a stranger waits for the person, and can be blocked and reported`() = world { world ->
        world.person("ada") { ada ->
            openClient(world.database("ben"), key("ben"), world.relay.url).useAndShutDown { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    hers.sendText("let me in")
                    val request = eventually { ben.folderPage(Folder.REQUESTS).threads.singleOrNull { it.newest != null } }
                    assertTrue(request.isRequest && ben.threads().isEmpty())
                    ben.thread(request.id).use { his ->
                        his.acceptRequest()
                        assertEquals(listOf(request.id), ben.threads().map { it.id })
                        val report = ben.report(ada.userId())
                        assertEquals(listOf("let me in"), report.messages.map { it.text })
                        assertEquals(request.id to ada.userId(), report.thread to report.user)
                        ben.block(ada.userId())
                        assertTrue(ben.isBlocked(ada.userId()) && his.summary().isBlocked)
                        assertEquals(listOf(ada.userId()), ben.blocked())
                        thrownBy<SealpostException.WrongState> { his.sendText("to nobody") }
                        ben.unblock(ada.userId())
                        assertFalse(ben.isBlocked(ada.userId()))
                    }
                }
            }
        }
    }

    @Test
    fun `a note to self is in the list and is sent at once`() = world { world ->
        world.person("ada") { ada ->
            ada.noteToSelf().use { note ->
                val written = note.sendText("buy milk")
                assertTrue(written.isSent && note.others().isEmpty())
                note.edit(written.id, "buy oat milk")
                val listed = ada.folderPage(Folder.CHATS).threads.single()
                assertEquals(note.id() to ThreadKind.NOTE_TO_SELF, listed.id to listed.kind)
                assertEquals("buy oat milk" to 0uL, listed.newest?.text to listed.unread.toULong())
                assertEquals(note.id(), ada.noteToSelf().use { it.id() })
            }
        }
    }

    @Test
    fun `messages are found by words, sender and link, and the unread ones begin at the divider`() = talk { people, hers, his ->
        hers.sendText("the café 🎈 is open")
        his.shows { it.text != null }
        his.sendText("see https://example.org about the cafe")
        val links = eventually { hers.links().messages.singleOrNull() }
        assertEquals(people[1], links.sender)
        assertEquals(UnreadDivider(links.id, links.position, 1u), hers.unreadDivider())
        hers.markRead(links.id)
        assertEquals(null, hers.unreadDivider())
    }

    @Test
    fun `messages are found in a thread, and the found words are marked`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.setProfile(Profile("Ada", "busy"))
                val profile = Profile("Ada", "busy", displayableName = "Ada")
                assertEquals(profile, ada.profile())
                ada.directThread(ben.userId()).use { hers ->
                    hers.sendText("🎈 the café is open")
                    val search = Search("cafe", thread = hers.id(), sender = ada.userId(), order = SearchOrder.BEST)
                    val hit = eventually { ada.find(search).hits.singleOrNull() }
                    assertEquals(listOf("café"), hit.marks.map { hit.message.text!!.substring(it.units) })
                    assertEquals(emptyList<Hit>(), ada.find(search.copy(sender = ben.userId())).hits)
                    val sentMs = hit.message.sentMs
                    assertEquals(1, ada.find(search.copy(fromMs = sentMs, untilMs = sentMs + 1)).hits.size)
                    assertEquals(emptyList<Hit>(), ada.find(search.copy(fromMs = sentMs + 1)).hits)
                    assertEquals(emptyList<Hit>(), ada.find(search.copy(untilMs = sentMs)).hits)
                }
                val profiles = mapOf(ada.userId() to profile)
                eventually { Unit.takeIf { ben.profiles(listOf(ada.userId(), ben.userId())) == profiles } }
            }
        }
    }

    @Test
    fun `people are told who writes and who is there, unless that is off`() = twoPeople {
        greet()
        eventually {
            hers.setTyping(false)
            hers.setTyping(true)
            Unit.takeIf { his.typing() == listOf(ada.userId()) }
        }
        ada.sharePresence(ben.userId(), true)
        val seen = eventually { ben.presence(ada.userId()).takeIf { it.isPresent } }
        assertTrue(seen.lastSeenMs != null && hers.privacy(PrivacySetting.PRESENCE))
        ada.sharePresence(ben.userId(), false)
        eventually { Unit.takeIf { !ben.presence(ada.userId()).isPresent } }
        hers.setTyping(false)
        eventually { Unit.takeIf { his.typing().isEmpty() } }
        hers.setPrivacy(PrivacySetting.TYPING, false)
        hers.setTyping(true)
        // What she sends arrives in order.
        ada.sharePresence(ben.userId(), true)
        eventually { Unit.takeIf { ben.presence(ada.userId()).isPresent } }
        assertEquals(emptyList<UserId>(), his.typing())
        his.setPrivacy(PrivacySetting.READ_RECEIPTS, false)
        ben.setPrivacy(PrivacySetting.DELIVERY_RECEIPTS, false)
        assertFalse(his.privacy(PrivacySetting.READ_RECEIPTS) || ben.privacy(PrivacySetting.DELIVERY_RECEIPTS))
        assertTrue(ben.privacy(PrivacySetting.READ_RECEIPTS))
    }

    @Test
    fun `the storage is reported and cleaned up, and a message has its times`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    val sent = hers.sendText("hello")
                    val times = eventually { hers.details(sent.id).takeIf { it.deliveredMs != null } }
                    assertEquals(sent.sentMs to null, times.sentMs to times.readMs)
                    assertTrue(times.storedMs != null)
                    val report = ada.storageReport()
                    assertEquals(listOf(hers.id() to 1uL), report.threads.map { it.thread to it.messages })
                    assertTrue(report.databaseBytes > report.threads[0].bytes)
                    val page = ada.threadPage(limit = 1u)
                    assertEquals(page.threads, ada.summaries(report.threads.map { it.thread } + "0".repeat(32)))
                    assertEquals(0uL, hers.deleteOlder(0))
                    assertEquals(1uL, hers.deleteOlder(Long.MAX_VALUE))
                    ada.noteToSelf().use { it.sendText("a note") }
                    assertEquals(0uL, ada.deleteOlder(0))
                    assertEquals(1uL, ada.deleteOlder(Long.MAX_VALUE))
                    assertEquals(emptyList<Message>(), hers.history().messages)
                    hers.delete()
                    assertEquals(listOf(ThreadKind.NOTE_TO_SELF), ada.threads().map { it.kind })
                }
            }
        }
    }

    @Test
    fun `pages of a list are joined in their order`() {
        val threads = (1..9).map { ThreadSummary("$it", "place $it", ThreadKind.DIRECT, TrustState.FIRST_USE) }.reversed()
        val first = ThreadList(ThreadPage(threads.take(4), "place 6"))
        assertEquals(ThreadList(threads), first.withNext(ThreadPage(threads.drop(4))))
        assertEquals(first, first.after(ThreadsChange.Put(threads[5])), "it is in a page that was not read yet")
        val moved = threads[2].copy(place = "place 99")
        assertEquals(moved, first.after(ThreadsChange.Put(moved)).threads[0])
        assertTrue(first.after(ThreadsChange.Removed("9")).threads.none { it.id == "9" })
    }
}
