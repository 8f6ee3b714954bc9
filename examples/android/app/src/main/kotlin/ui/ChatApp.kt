package io.github.sealpost.example.ui

import android.app.Application
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.ProcessLifecycleOwner
import androidx.lifecycle.lifecycleScope
import androidx.lifecycle.repeatOnLifecycle
import io.github.sealpost.example.Account
import io.github.sealpost.example.ChatModel
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import java.io.File

/** One account and one model for the whole process, because a database can only be open once. */
class ChatApp : Application() {
    val account by lazy {
        val key = StorageKey(this)
        Account(File(noBackupFilesDir, "account.db").path, relay = "http://127.0.0.1:8470", key = key::load)
    }
    val model by lazy { ChatModel(account) }

    override fun onCreate() {
        super.onCreate()
        val process = ProcessLifecycleOwner.get()
        process.lifecycleScope.launch {
            // This is cancelled when the last screen is gone, which closes the database.
            process.repeatOnLifecycle(Lifecycle.State.STARTED) { withContext(Dispatchers.Default) { model.run() } }
        }
    }
}
