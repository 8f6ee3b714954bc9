package io.github.sealpost.example.ui

import android.Manifest.permission.POST_NOTIFICATIONS
import android.app.NotificationChannel
import android.app.NotificationManager
import android.content.Context
import android.content.pm.PackageManager.PERMISSION_GRANTED
import android.os.Build.VERSION.SDK_INT
import android.os.Build.VERSION_CODES.S
import androidx.core.app.NotificationCompat
import androidx.core.content.ContextCompat
import androidx.work.Constraints
import androidx.work.CoroutineWorker
import androidx.work.ExistingWorkPolicy
import androidx.work.NetworkType
import androidx.work.OneTimeWorkRequestBuilder
import androidx.work.OutOfQuotaPolicy
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import io.github.sealpost.Message
import io.github.sealpost.SealpostException
import io.github.sealpost.example.fetchNews
import io.github.sealpost.text

/**
 * Fetches the waiting messages and shows a notification. The receiver of the app's push messages calls [enqueue] for
 * each of them.
 */
class PushWorker(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
    override suspend fun doWork(): Result =
        try {
            val fetched = fetchNews((applicationContext as ChatApp).account)
            fetched.messages.lastOrNull()?.let(::show)
            if (fetched.complete) Result.success() else Result.retry()
        } catch (problem: SealpostException) {
            if (problem.retryable()) Result.retry() else Result.failure()
        }

    private fun show(newest: Message) {
        if (ContextCompat.checkSelfPermission(applicationContext, POST_NOTIFICATIONS) != PERMISSION_GRANTED) return
        val manager = applicationContext.getSystemService(NotificationManager::class.java)
        manager.createNotificationChannel(NotificationChannel(CHANNEL, "Messages", NotificationManager.IMPORTANCE_HIGH))
        val notification = NotificationCompat.Builder(applicationContext, CHANNEL)
            .setSmallIcon(android.R.drawable.ic_dialog_email)
            .setContentTitle("New message")
            .setContentText(newest.text)
            .build()
        manager.notify(newest.thread.hashCode(), notification)
    }

    companion object {
        private const val CHANNEL = "messages"

        /** The work runs one at a time, because the database can only be open once. */
        fun enqueue(context: Context) {
            val request = OneTimeWorkRequestBuilder<PushWorker>()
                .setConstraints(Constraints(requiredNetworkType = NetworkType.CONNECTED))
                // Older systems would require a separate notification for expedited work.
                .apply { if (SDK_INT >= S) setExpedited(OutOfQuotaPolicy.RUN_AS_NON_EXPEDITED_WORK_REQUEST) }
                .build()
            WorkManager.getInstance(context).enqueueUniqueWork("push", ExistingWorkPolicy.APPEND_OR_REPLACE, request)
        }
    }
}
