package io.github.sealpost.example

/** Where an account's database is, and which relay the account is registered at. */
class Account(
    /** The path of the database, in an existing folder. */
    val database: String,
    val relay: String,
    /** Reads the 32-byte key that the database is encrypted with. */
    val key: () -> ByteArray,
)
