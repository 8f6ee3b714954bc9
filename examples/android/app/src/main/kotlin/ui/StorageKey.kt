package io.github.sealpost.example.ui

import android.content.Context
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import android.util.AtomicFile
import java.io.File
import java.security.KeyStore
import java.security.SecureRandom
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/**
 * The random 32-byte key of the database. It is in a file that is never backed up, encrypted with a key that never leaves the
 * Keystore. That key does not require an unlocked screen, because a push notification may arrive while the phone is locked.
 */
class StorageKey(context: Context) {
    private val file = AtomicFile(File(context.noBackupFilesDir, "storage.key"))

    /**
     * Creates the key at the first call. Throws if the Keystore has lost its key; the database can then no longer be
     * opened.
     */
    @Synchronized
    fun load(): ByteArray = if (file.baseFile.exists()) open(file.readFully()) else make()

    private fun make(): ByteArray {
        val key = ByteArray(32).also(SecureRandom()::nextBytes)
        val cipher = Cipher.getInstance(CIPHER).apply { init(Cipher.ENCRYPT_MODE, wrappingKey()) }
        val sealed = cipher.iv + cipher.doFinal(key)
        val output = file.startWrite()
        output.write(sealed)
        // The key is on disk before the database is created.
        file.finishWrite(output)
        return key
    }

    private fun open(sealed: ByteArray): ByteArray {
        val nonce = GCMParameterSpec(TAG_BITS, sealed, 0, NONCE_BYTES)
        val cipher = Cipher.getInstance(CIPHER).apply { init(Cipher.DECRYPT_MODE, wrappingKey(), nonce) }
        return cipher.doFinal(sealed, NONCE_BYTES, sealed.size - NONCE_BYTES)
    }

    private fun wrappingKey(): SecretKey {
        val store = KeyStore.getInstance(PROVIDER).apply { load(null) }
        (store.getKey(NAME, null) as SecretKey?)?.let { return it }
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val kind = KeyGenParameterSpec.Builder(NAME, purposes)
            .setKeySize(256)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .build()
        val generator = KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER)
        return generator.apply { init(kind) }.generateKey()
    }

    private companion object {
        const val PROVIDER = "AndroidKeyStore"
        const val NAME = "sealpost storage key"
        const val CIPHER = "AES/GCM/NoPadding"
        const val NONCE_BYTES = 12
        const val TAG_BITS = 128
    }
}
