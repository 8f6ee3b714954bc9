package io.github.sealpost.example.ui

import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.items
import androidx.compose.foundation.text.selection.SelectionContainer
import androidx.compose.material3.Button
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.rememberCoroutineScope
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import io.github.sealpost.Delivery
import io.github.sealpost.Direction
import io.github.sealpost.Message
import io.github.sealpost.example.ChatModel
import io.github.sealpost.text
import kotlinx.coroutines.launch

class ChatActivity : ComponentActivity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val model = (application as ChatApp).model
        setContent { MaterialTheme { ChatScreen(model) } }
    }
}

@Composable
private fun ChatScreen(model: ChatModel) {
    val state by model.state.collectAsStateWithLifecycle()
    val hasPeer = state.peer != null
    Column(Modifier.fillMaxSize().safeDrawingPadding().padding(16.dp)) {
        state.problem?.let { Text(it.toString(), color = MaterialTheme.colorScheme.error) }
        if (hasPeer) {
            LazyColumn(Modifier.weight(1f), reverseLayout = true) {
                items(state.messages.reversed(), key = { it.id }) { MessageRow(it) }
            }
        } else {
            Column(Modifier.weight(1f), Arrangement.spacedBy(8.dp)) {
                Text("Your user id, for somebody to write to:")
                SelectionContainer { Text(state.me ?: "…") }
                Text("Or enter theirs.")
            }
        }
        Entry(if (hasPeer) "Message" else "Their user id") { if (hasPeer) model.send(it) else model.meet(it) }
    }
}

/** A text field, which is cleared once the message has been saved. */
@Composable
private fun Entry(label: String, enter: suspend (String) -> Boolean) {
    var entered by rememberSaveable { mutableStateOf("") }
    val scope = rememberCoroutineScope()
    Row(verticalAlignment = Alignment.CenterVertically, horizontalArrangement = Arrangement.spacedBy(8.dp)) {
        OutlinedTextField(entered, { entered = it }, Modifier.weight(1f), label = { Text(label) })
        Button(
            enabled = entered.isNotEmpty(),
            onClick = {
                val text = entered
                scope.launch { if (enter(text) && entered == text) entered = "" }
            },
        ) { Text("Send") }
    }
}

@Composable
private fun MessageRow(message: Message) {
    val direction = message.direction
    val side = if (direction is Direction.Outgoing) Alignment.End else Alignment.Start
    Column(Modifier.fillMaxWidth().padding(vertical = 4.dp), horizontalAlignment = side) {
        Text(message.text ?: "(could not be opened)")
        if (direction is Direction.Outgoing) Text(state(direction.delivery), style = MaterialTheme.typography.labelSmall)
    }
}

private fun state(delivery: Delivery): String = when (delivery) {
    Delivery.Queued -> "waiting"
    Delivery.Sent -> "sent"
    Delivery.Delivered -> "delivered"
    Delivery.Read -> "read"
    is Delivery.Failed -> "not sent"
    Delivery.Expired -> "not delivered"
}
